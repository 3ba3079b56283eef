import { TesseraError } from '@tessera/protocol';
import type { Metadata } from 'sharp';
import type { ImageFormat, ImageInfo } from '../media-info.js';
import { type MediaLimits, withDefaultLimits } from '../media-limits.js';
import { declaredSize } from './declared-size.js';
import { foreignFormat } from './foreign-format.js';
import { native } from './native.js';
import { bytesPerPixel, rasterPlan } from './raster-plan.js';
import { readableFile } from './readable-file.js';
import { sniffFormat } from './sniff-format.js';
import { svgHead, svgRootTag } from './svg-root-tag.js';
import { svgSize } from './svg-size.js';
import { unsupportedVariant } from './unsupported-variant.js';

function checkSize({ width, height }: { width: number; height: number }, limits: MediaLimits): void {
  if (width === 0 || height === 0) throw new TesseraError('MEDIA_EMPTY', `the picture has ${width}x${height} pixels`);
  if (width * height > limits.maxPixels) {
    throw new TesseraError(
      'MEDIA_TOO_LARGE',
      `the picture has ${width}x${height} = ${width * height} pixels; the limit is ${limits.maxPixels}`,
    );
  }
  if (Math.max(width, height) > limits.maxSide) {
    throw new TesseraError(
      'MEDIA_TOO_LARGE',
      `the picture has ${width}x${height} pixels; the limit for one side is ${limits.maxSide}`,
    );
  }
}

/** libvips names AVIF after its container. */
function isFormat(metadata: Metadata, format: ImageFormat): boolean {
  return metadata.format === (format === 'avif' ? 'heif' : (format as string));
}

async function readHeader(bytes: Uint8Array, format: ImageFormat): Promise<Metadata> {
  try {
    // The pixel limit is ours to check: sharp's own would not tell the figures.
    return await native(bytes, { limitInputPixels: false }).metadata();
  } catch (cause) {
    const message = `the header of the ${format.toUpperCase()} picture is cut or damaged`;
    throw new TesseraError('MEDIA_CORRUPT', message, { cause });
  }
}

/**
 * Reads a picture's header, never its pixels. What it accepts may still prove cut or damaged when it is decoded.
 * (The header of an SVG is its root tag.)
 * @throws TesseraError MEDIA_EMPTY (no bytes, no pixels), MEDIA_NOT_RECOGNISED, MEDIA_UNSUPPORTED (a known format in a
 *   form that is not decoded), MEDIA_TOO_LARGE (over a limit, with the figures) or MEDIA_CORRUPT (a header that ends too
 *   early)
 */
export async function probeImage(bytes: Uint8Array, partialLimits?: Partial<MediaLimits>): Promise<ImageInfo> {
  const limits = withDefaultLimits(partialLimits);
  if (bytes.length === 0) throw new TesseraError('MEDIA_EMPTY', 'the media item has no bytes');
  if (bytes.length > limits.maxBytes) {
    throw new TesseraError(
      'MEDIA_TOO_LARGE',
      `the media item has ${bytes.length} bytes; the limit is ${limits.maxBytes}`,
    );
  }
  const format = sniffFormat(bytes);
  if (format === undefined) {
    const taken = 'JPEG, PNG, WebP, GIF, AVIF, TIFF and SVG pictures are taken';
    const what = foreignFormat(bytes);
    throw new TesseraError(
      'MEDIA_NOT_RECOGNISED',
      what === undefined ? `the bytes are no picture of a known format: ${taken}` : `the bytes are ${what}: ${taken}`,
    );
  }
  const svgTag = format === 'svg' ? svgRootTag(svgHead(bytes)) : undefined;
  if (svgTag !== undefined) {
    const { width, height } = svgSize(svgTag);
    checkSize({ width, height }, limits);
    return { kind: 'image', format, width, height, pages: 1, memoryBytes: width * height * 3 };
  }

  const declared = declaredSize(bytes, format);
  if (declared !== undefined) checkSize(declared, limits);
  const file = readableFile(bytes, format);
  const variant = unsupportedVariant(file, format);
  if (variant !== undefined) {
    throw new TesseraError(
      'MEDIA_UNSUPPORTED',
      `the ${format.toUpperCase()} picture is of a kind that is not supported: it has ${variant}`,
    );
  }
  const metadata = await readHeader(file, format);
  if (!isFormat(metadata, format)) {
    throw new TesseraError(
      'MEDIA_NOT_RECOGNISED',
      `the bytes begin as ${format.toUpperCase()} but hold something else (${metadata.format})`,
    );
  }
  const { width, height } = metadata.autoOrient;
  checkSize({ width, height }, limits);
  const memoryBytes = width * height * bytesPerPixel(rasterPlan(file, format, metadata));
  return { kind: 'image', format, width, height, pages: metadata.pages ?? 1, memoryBytes };
}
