/** Values in the order of their shape, as a tensor of packages/protocol has them. */
interface Values {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** How far `actual` is from `expected`: the largest difference over the largest value, and the same in L2. */
export function relativeErrors(actual: Float32Array, expected: Float32Array): { max: number; l2: number } {
  if (actual.length !== expected.length) throw new Error(`${actual.length} values, not ${expected.length}`);
  let [worst, peak, squares, norm] = [0, 0, 0, 0];
  for (const [i, value] of expected.entries()) {
    const difference = Math.abs((actual[i] as number) - value);
    // Not Math.max: a NaN must not vanish.
    if (!(difference <= worst)) worst = difference;
    peak = Math.max(peak, Math.abs(value));
    squares += difference * difference;
    norm += value * value;
  }
  return { max: worst / peak, l2: Math.sqrt(squares / norm) };
}

/** The largest difference over the largest value of the reference; infinite where the shapes differ. */
export function relativeError(actual: Values, reference: Values): number {
  if (actual.shape.join() !== reference.shape.join()) return Number.POSITIVE_INFINITY;
  return relativeErrors(actual.data, reference.data).max;
}
