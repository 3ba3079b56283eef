import type { Metadata } from 'sharp';
import type { ImageFormat } from '../media-info.js';
import { startsWith } from './starts-with.js';
import { tiffExtraChannels, tiffHeader } from './tiff-header.js';

/** How a picture's samples become 8-bit sRGB. */
export interface RasterPlan {
  readonly isGrey: boolean;
  /** Whether the colour profile in the file is one for its kind of colours; any other is as good as none. */
  readonly hasProfile: boolean;
  /** Where transparency is: `last` among the channels, before `spareChannels` that say nothing, or nowhere. */
  readonly alpha: 'none' | 'last' | 'before spares';
  readonly spareChannels: number;
  /**
   * What the profile is applied to keeps 16 bits until it is sRGB. sharp has no such way in one go: it takes what it
   * made of 16 bits for sRGB, where it is Display P3, and leaves grey as it is.
   */
  readonly isDeep: boolean;
  /** Channels of the pixels that are kept between two goes, where one will not do; else 0. */
  readonly keptChannels: number;
}

const profileSpaces: Readonly<Record<string, string>> = {
  srgb: 'RGB ',
  rgb16: 'RGB ',
  'b-w': 'GRAY',
  grey16: 'GRAY',
  cmyk: 'CMYK',
};

/** By the header of ICC profiles: 128 bytes with a signature and the space of the colours that it is for. */
function hasProfile({ icc, space }: Metadata): boolean {
  const expected = profileSpaces[space ?? ''];
  return icc !== undefined && expected !== undefined && startsWith(icc, 36, 'acsp') && startsWith(icc, 16, expected);
}

/** Extra samples of a TIFF may be anything; libvips takes one for transparency. */
function extraChannels(
  bytes: Uint8Array,
  format: ImageFormat,
  metadata: Metadata,
): Pick<RasterPlan, 'alpha' | 'spareChannels'> {
  if (!metadata.hasAlpha) return { alpha: 'none', spareChannels: 0 };
  if (format !== 'tiff') return { alpha: 'last', spareChannels: 0 };
  const header = tiffHeader(bytes);
  const extras = tiffExtraChannels(header);
  if (header.extraSamples[0] === 0) return { alpha: 'none', spareChannels: extras };
  return { alpha: extras === 1 ? 'last' : 'before spares', spareChannels: extras - 1 };
}

/** @param metadata what sharp says of these very bytes */
export function rasterPlan(bytes: Uint8Array, format: ImageFormat, metadata: Metadata): RasterPlan {
  const isGrey = metadata.space === 'b-w' || metadata.space === 'grey16';
  const profiled = hasProfile(metadata);
  const extra = extraChannels(bytes, format, metadata);
  const isDeep = profiled && (metadata.space === 'rgb16' || metadata.space === 'grey16');
  const inTwo = isDeep || extra.alpha === 'before spares';
  const channels = extra.alpha === 'none' ? 3 : 4;
  return {
    isGrey,
    hasProfile: profiled,
    ...extra,
    isDeep,
    keptChannels: inTwo ? channels + (extra.alpha === 'none' ? 0 : extra.spareChannels) : 0,
  };
}

/** The most bytes that a pixel takes while it is decoded. */
export function bytesPerPixel({ keptChannels, isDeep }: RasterPlan): number {
  return 3 + keptChannels * (isDeep ? 2 : 1);
}
