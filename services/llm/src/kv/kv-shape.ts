/** What the size of a cache depends on. */
export interface KvShape {
  readonly layers: number;
  /** The most sequences. */
  readonly slots: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** The longest sequence. */
  readonly maxRows: number;
}

/** Bytes of one position of one sequence: keys and values, float32, of every layer. */
export function bytesPerRow({ layers, kvHeads, headDim }: Omit<KvShape, 'slots' | 'maxRows'>): number {
  return 2 * layers * kvHeads * headDim * Float32Array.BYTES_PER_ELEMENT;
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
