import { setImmediate } from 'node:timers/promises';
import { TesseraError } from '@tessera/protocol';
import type { SharpOptions } from 'sharp';
import type { ImageInfo } from '../media-info.js';
import type { MediaLimits } from '../media-limits.js';
import { gifScreen } from './gif-screen.js';
import { native } from './native.js';
import { type RasterPlan, rasterPlan } from './raster-plan.js';
import { readableFile } from './readable-file.js';

/** 8-bit RGB, row by row. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Between two goes: 8 or 16 bits, the colours sRGB. */
interface KeptPixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array | Uint16Array;
}

interface DecodeRasterOptions {
  readonly info: ImageInfo;
  readonly background: readonly number[];
  readonly limits: MediaLimits;
}

/** Pixels that are moved before the event loop has its turn. */
const pixelsAtOnce = 1 << 20;

function inputOptions(plan: RasterPlan, { info, limits }: DecodeRasterOptions): SharpOptions {
  return {
    autoOrient: true,
    ignoreIcc: plan.isDeep || !plan.hasProfile,
    limitInputPixels: limits.maxPixels,
    sequentialRead: true,
    // 'error' refuses what is cut or broken and forgives what merely breaks a rule, such as a JPEG with stray bytes.
    // libtiff reports broken pixel data as a warning only.
    failOn: info.format === 'tiff' ? 'warning' : 'error',
  };
}

async function decodeAtOnce(bytes: Uint8Array, plan: RasterPlan, options: DecodeRasterOptions): Promise<Pixels> {
  const [r, g, b] = options.background;
  let picture = native(bytes, inputOptions(plan, options));
  // Grey on a colour is a colour: libvips would lay it on the background's red.
  if (plan.isGrey && plan.alpha === 'last' && !plan.hasProfile) picture = picture.pipelineColourspace('srgb');
  picture = plan.alpha === 'none' ? picture.removeAlpha() : picture.flatten({ background: { r, g, b } });
  const { data, info: shape } = await picture
    .toColourspace('srgb')
    .timeout({ seconds: options.limits.decodeTimeoutS })
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  if (shape.channels !== 3) throw new Error(`decoded to ${shape.channels} channels`);
  return { width: shape.width, height: shape.height, data };
}

/** All channels but those that say nothing, as sRGB. */
async function decodeToKeep(bytes: Uint8Array, plan: RasterPlan, options: DecodeRasterOptions): Promise<KeptPixels> {
  let picture = native(bytes, inputOptions(plan, options));
  if (plan.alpha === 'none') picture = picture.removeAlpha();
  picture = plan.isDeep
    ? picture.toColourspace(plan.isGrey ? 'grey16' : 'rgb16').withIccProfile('srgb', { attach: false })
    : picture.toColourspace('srgb');
  const { data, info: shape } = await picture
    .timeout({ seconds: options.limits.decodeTimeoutS })
    .raw({ depth: plan.isDeep ? 'ushort' : 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = shape;
  if (channels !== plan.keptChannels) throw new Error(`decoded to ${channels} channels`);
  const samples = plan.isDeep ? new Uint16Array(data.buffer, data.byteOffset, data.length / 2) : data;
  const kept = { width, height, channels, data: samples };
  return plan.alpha === 'before spares' ? await withoutSpares(kept) : kept;
}

/** Moves the four channels that count to the front of the same memory. */
async function withoutSpares({ width, height, channels, data }: KeptPixels): Promise<KeptPixels> {
  for (let i = 0; i < width * height; i++) {
    for (let channel = 0; channel < 4; channel++) data[i * 4 + channel] = data[i * channels + channel] as number;
    if (i % pixelsAtOnce === pixelsAtOnce - 1) await setImmediate();
  }
  return { width, height, channels: 4, data: data.subarray(0, width * height * 4) };
}

async function decodeInTwo(bytes: Uint8Array, plan: RasterPlan, options: DecodeRasterOptions): Promise<Pixels> {
  const [r, g, b] = options.background;
  const { width, height, channels, data } = await decodeToKeep(bytes, plan, options);
  let picture = native(data, { raw: { width, height, channels: channels as 3 | 4 }, limitInputPixels: false });
  if (channels === 4) picture = picture.flatten({ background: { r, g, b } });
  const pixels = await picture.toColourspace('srgb').raw({ depth: 'uchar' }).toBuffer();
  return { width, height, data: pixels };
}

/** A GIF's canvas is clear where its first frame is not; libvips makes that black. */
function clearAround(gif: Uint8Array, { width, height, data }: Pixels, background: readonly number[]): void {
  const frame = gifScreen(gif)?.firstFrame;
  if (frame === undefined) return;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
  const colour = Uint8Array.from(background);
  const fill = (row: number, from: number, to: number) => {
    if (from < to) bytes.fill(colour, (row * width + from) * 3, (row * width + to) * 3);
  };
  const [right, bottom] = [Math.min(frame.left + frame.width, width), frame.top + frame.height];
  for (let row = 0; row < height; row++) {
    const isWithin = row >= frame.top && row < bottom;
    fill(row, 0, isWithin ? Math.min(frame.left, width) : width);
    if (isWithin) fill(row, right, width);
  }
}

/** What libvips and its decoders say of whole files that they were built without; damage can bring out other words. */
const unsupported =
  /not configured|has not been built in|decoding is not implemented|separate planes not supported|Unsupported (?:JPEG process|feature|codec)|arithmetic coding/i;

/**
 * Decodes the first frame of a picture that is no drawing.
 * @throws TesseraError MEDIA_CORRUPT, MEDIA_UNSUPPORTED, or MEDIA_TOO_LARGE past the time limit
 */
export async function decodeRaster(bytes: Uint8Array, options: DecodeRasterOptions): Promise<Pixels> {
  const { info, background, limits } = options;
  const name = info.format.toUpperCase();
  const file = readableFile(bytes, info.format);
  try {
    const plan = rasterPlan(file, info.format, await native(file, { limitInputPixels: false }).metadata());
    const decode = plan.keptChannels === 0 ? decodeAtOnce : decodeInTwo;
    const pixels = await decode(file, plan, options);
    if (info.format === 'gif') clearAround(file, pixels, background);
    return pixels;
  } catch (cause) {
    if (cause instanceof Error && cause.message.includes('timeout')) {
      throw new TesseraError(
        'MEDIA_TOO_LARGE',
        `the ${name} picture takes longer to decode than the limit of ${limits.decodeTimeoutS} s`,
        { cause },
      );
    }
    if (cause instanceof Error && unsupported.test(cause.message)) {
      const words = cause.message.split('\n')[0];
      throw new TesseraError('MEDIA_UNSUPPORTED', `the ${name} picture is of a kind that is not supported: ${words}`, {
        cause,
      });
    }
    throw new TesseraError('MEDIA_CORRUPT', `the ${name} picture is cut or damaged`, { cause });
  }
}
