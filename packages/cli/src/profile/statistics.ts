/** The value in the middle; 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}

/** The standard deviation of the logarithm, by the spread of those above the middle: how long the slow ones take. */
export function sigmaOf(values: readonly number[]): number {
  const sorted = [...values].filter((value) => value > 0).sort((a, b) => a - b);
  // Nine of ten of what is lognormal are below the median times e^(1.2816 sigma).
  const high = sorted[Math.floor((sorted.length - 1) * 0.9)] ?? 0;
  const middle = median(sorted);
  return middle > 0 && high > middle ? round(Math.min(2, Math.log(high / middle) / 1.2816)) : 0;
}

/** So many times, one after the other. */
export async function repeat<Result>(times: number, work: (time: number) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (let time = 0; time < times; time++) results.push(await work(time));
  return results;
}

/** So many at once. */
export function together<Result>(count: number, work: (each: number) => Promise<Result>): Promise<Result[]> {
  return Promise.all(Array.from({ length: count }, (_, each) => work(each)));
}

/**
 * Points of a curve of cost: one for each size, in their order, and none below the one before it, since what is computed
 * together takes no less than a part of it does.
 */
export function curveOf(
  points: readonly { readonly size: number; readonly ms: number }[],
): { size: number; ms: number }[] {
  const curve: { size: number; ms: number }[] = [];
  for (const { size, ms } of [...points].sort((a, b) => a.size - b.size)) {
    const last = curve.at(-1);
    const whole = Math.max(1, Math.round(size));
    if (last !== undefined && last.size === whole) continue;
    curve.push({ size: whole, ms: round(Math.max(ms, last?.ms ?? 0)) });
  }
  return curve;
}

/** To a thousandth: more was not measured. */
export function round(value: number): number {
  return Math.round(Math.max(0, value) * 1000) / 1000;
}

/** Doubling from 1 up to a most, which is there too. */
export function doubling(most: number): number[] {
  const sizes: number[] = [];
  for (let size = 1; size < most; size *= 2) sizes.push(size);
  return [...sizes, most];
}
