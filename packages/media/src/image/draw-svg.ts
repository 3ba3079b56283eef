import { TesseraError } from '@tessera/protocol';
import type { MediaLimits } from '../media-limits.js';
import type { WhileWaiting } from '../while-waiting.js';
import type { SvgLane } from './svg-lane.js';
import { narrowXml, svgRootTag } from './svg-root-tag.js';
import { svgSize, withSvgSize } from './svg-size.js';

/** Time that a drawing may take for each millisecond of computing: others may keep the machine busy. */
const patience = 15;
/** And what it may take at least: a machine that is busy enough lets a process stand still for seconds. */
const leastPatienceMs = 30_000;

export interface DrawSvgOptions {
  readonly background: readonly number[];
  readonly limits: MediaLimits;
  readonly lane: SvgLane;
  readonly signal?: AbortSignal;
  readonly whileWaiting?: WhileWaiting;
}

/**
 * Draws an SVG at its `svgSize` on the background, as 8-bit RGB. Files and addresses that it names are not opened.
 * @throws TesseraError what `SvgLane.draw` throws
 */
export async function drawSvg(
  bytes: Uint8Array,
  { background, limits, lane, signal, whileWaiting }: DrawSvgOptions,
): Promise<{ width: number; height: number; data: Uint8Array }> {
  const document = narrowXml(bytes);
  const tag = svgRootTag(document);
  if (tag === undefined) throw new TesseraError('MEDIA_NOT_RECOGNISED', 'the bytes are no SVG picture');
  const size = svgSize(tag);
  const { width, height } = size;
  const drawing = {
    bytes: withSvgSize(document, tag, size),
    width,
    height,
    background,
    maxCpuMs: limits.svgCpuMs,
    maxMemoryBytes: limits.svgMemoryBytes,
  };
  const timeoutMs = Math.max(leastPatienceMs, patience * limits.svgCpuMs);
  const data = await lane.draw(drawing, { timeoutMs, signal, whileWaiting });
  return { width, height, data };
}
