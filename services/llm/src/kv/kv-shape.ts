import type { KvCacheType } from '@tessera/bundle';
import { bytesPerElement } from '@tessera/protocol';

/** What the size of a cache depends on. */
export interface KvShape {
  readonly layers: number;
  /** The most sequences. */
  readonly slots: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** What keys and values are held as; float32 where it is not said. */
  readonly kvCache?: KvCacheType | undefined;
  /** The longest sequence. */
  readonly maxRows: number;
}

/** Bytes of one position of one sequence: keys and values of every layer. */
export function bytesPerRow({
  layers,
  kvHeads,
  headDim,
  kvCache = 'float32',
}: Omit<KvShape, 'slots' | 'maxRows'>): number {
  return 2 * layers * kvHeads * headDim * bytesPerElement[kvCache];
}

/** Four steps an octave: at most a quarter more than is needed, and few enough changes. */
function inSteps(count: number, smallestStep: number, most: number): number {
  const step = Math.max(smallestStep, 2 ** Math.floor(Math.log2(Math.max(1, count))) / 4);
  return Math.min(most, Math.ceil(Math.max(1, count) / step) * step);
}

/** How long slots are made so that they hold so many rows. */
export function capacityFor(rows: number, { maxRows }: KvShape): number {
  return inSteps(rows, 16, maxRows);
}

/** How many slots are made so that there are so many. */
export function slotsFor(count: number, { slots }: KvShape): number {
  return inSteps(count, 1, slots);
}
