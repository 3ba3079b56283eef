import { TesseraError } from '@tessera/protocol';
import type { Sharp } from 'sharp';
import type { ImageInfo, ImageRaster } from '../media-info.js';
import { type MediaLimits, withDefaultLimits } from '../media-limits.js';
import { throwIfAborted } from '../throw-if-aborted.js';
import { native } from './native.js';
import { probeImage } from './probe-image.js';
import { svgDrawingSize } from './svg-size.js';

/** libvips's resolution at which one SVG user unit is one pixel, and the bounds that sharp puts on it. */
const svgUnitDensity = 72;
const minSvgDensity = 1;
const maxSvgDensity = 100_000;

export interface DecodeOptions {
  readonly limits?: Partial<MediaLimits>;
  /** The colour that transparency is laid on: R, G, B of 0 to 255. White when absent. */
  readonly background?: readonly number[];
  readonly signal?: AbortSignal;
}

async function openRaster(bytes: Uint8Array, info: ImageInfo, limits: MediaLimits): Promise<Sharp> {
  return native(bytes, {
    autoOrient: true,
    limitInputPixels: limits.maxPixels,
    sequentialRead: true,
    // 'error' refuses what is cut or broken and forgives what merely breaks a rule, such as a JPEG with stray bytes.
    // libtiff reports broken pixel data as a warning only.
    failOn: info.format === 'tiff' ? 'warning' : 'error',
  });
}

/** Draws at the size that the probe promised; librsvg scales the drawing itself, so nothing is enlarged as pixels. */
async function openSvg(bytes: Uint8Array, info: ImageInfo, limits: MediaLimits): Promise<Sharp> {
  const natural = await native(bytes, { limitInputPixels: false }).metadata();
  const density = svgUnitDensity * svgDrawingSize(natural.width, natural.height).scale;
  return native(bytes, {
    density: Math.min(Math.max(density, minSvgDensity), maxSvgDensity),
    // Rounding may add a pixel to a side before the exact size is set.
    limitInputPixels: limits.maxPixels * 2,
    failOn: 'error',
  }).resize(info.width, info.height, { fit: 'fill' });
}

/**
 * Decodes a picture's first frame to 8-bit sRGB: orientation applied, transparency laid on the background, grey, palette,
 * CMYK and 16-bit pictures converted (by their colour profile where they have one).
 * The native decoder cannot be interrupted; the signal is looked at before and after it.
 * @throws TesseraError what `probeImage` throws; MEDIA_CORRUPT when the pixels cannot be decoded to the end;
 *   MEDIA_TOO_LARGE when decoding takes longer than the limit; CANCELLED or DEADLINE_EXCEEDED by the signal
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeOptions = {}): Promise<ImageRaster> {
  const { background = [255, 255, 255], signal } = options;
  const limits = withDefaultLimits(options.limits);
  throwIfAborted(signal);
  const info = await probeImage(bytes, limits);
  throwIfAborted(signal);
  const [r, g, b] = background;
  const name = info.format.toUpperCase();
  const corrupt = (cause?: unknown) =>
    new TesseraError('MEDIA_CORRUPT', `the ${name} picture is cut or damaged`, { cause });

  let decoded: Awaited<ReturnType<typeof render>>;
  const render = (picture: Sharp) =>
    picture
      .flatten({ background: { r, g, b } })
      .toColourspace('srgb')
      .timeout({ seconds: limits.decodeTimeoutS })
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
  try {
    const open = info.format === 'svg' ? openSvg : openRaster;
    decoded = await render(await open(bytes, info, limits));
  } catch (reason) {
    if (reason instanceof Error && reason.message.includes('timeout')) {
      throw new TesseraError(
        'MEDIA_TOO_LARGE',
        `decoding the ${name} picture took longer than the limit of ${limits.decodeTimeoutS} s`,
        { cause: reason },
      );
    }
    throw corrupt(reason);
  }
  throwIfAborted(signal);
  const { data, info: shape } = decoded;
  if (shape.width !== info.width || shape.height !== info.height || shape.channels !== 3) throw corrupt();
  return { kind: 'image', width: shape.width, height: shape.height, data };
}
