import type { ImageFormat } from '../media-info.js';
import { jpegFrame } from './jpeg-frame.js';
import { tiffColourSamples, tiffHeader } from './tiff-header.js';
import { unlessCut } from './unless-cut.js';

/** Coding processes of JPEG that its decoders leave out. */
const jpegProcesses: Readonly<Record<number, string>> = {
  195: 'lossless coding',
  197: 'hierarchical coding',
  198: 'hierarchical coding',
  199: 'lossless hierarchical coding',
  203: 'lossless arithmetic coding',
  205: 'hierarchical arithmetic coding',
  206: 'hierarchical arithmetic coding',
  207: 'lossless hierarchical arithmetic coding',
  247: 'JPEG-LS coding',
};

function jpegVariant(bytes: Uint8Array): string | undefined {
  const frame = jpegFrame(bytes);
  if (frame === undefined) return undefined;
  return jpegProcesses[frame.process] ?? (frame.bits === 8 ? undefined : `${frame.bits} bits a sample`);
}

/** Compression schemes of TIFF that are not decoded. */
const compressionNames: Readonly<Record<number, string>> = {
  32766: 'NeXT',
  32809: 'ThunderScan',
  34661: 'JBIG',
  34676: 'SGI LogLuv',
  34677: 'SGI LogLuv',
  34712: 'JPEG 2000',
  34887: 'LERC',
  34892: 'lossy DNG',
  34925: 'LZMA',
  34926: 'Zstandard',
  34927: 'WebP of an older number',
  34933: 'PNG',
  34934: 'JPEG XR',
  50000: 'Zstandard',
  50002: 'JPEG XL',
  52546: 'JPEG XL',
};

/** The photometric interpretation of CMYK. */
const inks = 5;
/** Colours of TIFF that are not decoded: masks, ICCLab, ITULab, colour filters, LogL, LogLuv, linear raw, depth, semantics. */
const otherColours = new Set([4, 9, 10, 32_803, 32_844, 32_845, 34_892, 51_177, 52_527]);
/** Beyond these no file goes. */
const manySamples = 1024;
const manyBits = 64;
/** sharp opens no more than five channels. */
const maxSamples = 5;

function tiffVariant(bytes: Uint8Array): string | undefined {
  const header = tiffHeader(bytes);
  const { bits, compression, photometric, samples, inPlanes, isTiled, extraSamples, sampleFormats } = header;
  const depth = bits[0] ?? 1;
  // Damage makes values that no file has. That it is no whole picture, decoding tells better.
  if (header.width === undefined || header.height === undefined || photometric === undefined) return undefined;
  if (samples > manySamples || bits.some((each) => each < 1 || each > manyBits)) return undefined;
  if (sampleFormats.some((format) => format < 1 || format > 6)) return undefined;
  const scheme = compressionNames[compression];
  if (scheme !== undefined) return `${scheme} compression`;
  if (otherColours.has(photometric)) return `photometric interpretation ${photometric}`;
  const colours = tiffColourSamples(header);
  if (colours === undefined) return undefined;
  if (samples > maxSamples) return `${samples} channels`;
  if (photometric === inks && samples < colours) return `${samples} inks`;
  if (colours === 1 && samples > 2) return `${samples} channels of grey`;
  if (sampleFormats.some((format) => format === 2)) return 'signed samples';
  if (sampleFormats.some((format) => format === 3)) return 'floating-point samples';
  if (sampleFormats.some((format) => format > 4)) return 'complex samples';
  if (bits.some((other) => other !== depth)) return `samples of ${bits.join(', ')} bits`;
  if (photometric === inks && depth === 16 && (extraSamples[0] ?? 0) > 0) return '16-bit inks with transparency';
  const depths = photometric === 8 ? [16] : samples === 1 ? [1, 2, 4, 8, 16] : [8, 16];
  if (!depths.includes(depth)) return `${depth} bits a sample`;
  if (inPlanes && isTiled && samples > 1) return 'tiles of separate planes';
  return undefined;
}

/**
 * Says what about a whole file of a known format is not decoded here, from its header; undefined when it is nothing known,
 * or the header is cut.
 */
export function unsupportedVariant(bytes: Uint8Array, format: ImageFormat): string | undefined {
  return unlessCut(() => {
    if (format === 'jpeg') return jpegVariant(bytes);
    return format === 'tiff' ? tiffVariant(bytes) : undefined;
  });
}
