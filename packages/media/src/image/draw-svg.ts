import { TesseraError } from '@tessera/protocol';
import type { MediaLimits } from '../media-limits.js';
import { askSvgProcess } from './svg-process.js';
import { narrowXml, svgRootTag } from './svg-root-tag.js';
import { svgSize, withSvgSize } from './svg-size.js';

/**
 * Draws an SVG at its `svgSize` on the background, as 8-bit RGB. Files and addresses that it names are not opened.
 * @throws TesseraError MEDIA_CORRUPT when it is no well-formed SVG, and what `askSvgProcess` throws
 */
export async function drawSvg(
  bytes: Uint8Array,
  background: readonly number[],
  limits: MediaLimits,
  signal?: AbortSignal,
): Promise<{ width: number; height: number; data: Uint8Array }> {
  const document = narrowXml(bytes);
  const tag = svgRootTag(document);
  if (tag === undefined) throw new TesseraError('MEDIA_NOT_RECOGNISED', 'the bytes are no SVG picture');
  const size = svgSize(tag);
  const { width, height } = size;
  const drawing = { bytes: withSvgSize(document, tag, size), width, height, background };
  const reply = await askSvgProcess(drawing, { timeoutS: limits.decodeTimeoutS, signal });
  if ('failure' in reply) {
    throw new TesseraError('MEDIA_CORRUPT', 'the SVG picture is cut or damaged', { cause: new Error(reply.failure) });
  }
  return { width, height, data: reply.data };
}
