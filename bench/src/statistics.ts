/** A value of sorted samples below which the share `quantile` of them lies, interpolated between neighbours. */
function quantileOf(sorted: readonly number[], quantile: number): number {
  const at = (sorted.length - 1) * quantile;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

/** What is told of repeated measurements. A mean is not: one pause of the machine moves it. */
export interface Summary {
  readonly median: number;
  readonly p90: number;
  readonly p99: number;
}

/** @param samples at least one */
export function summarise(samples: readonly number[]): Summary {
  const sorted = [...samples].sort((a, b) => a - b);
  return { median: quantileOf(sorted, 0.5), p90: quantileOf(sorted, 0.9), p99: quantileOf(sorted, 0.99) };
}

/** Says the value below which a share of the samples lies. @param samples at least one */
export function quantiles(samples: readonly number[]): (share: number) => number {
  const sorted = [...samples].sort((a, b) => a - b);
  return (share) => quantileOf(sorted, share);
}

/** The value below which 99 of 100 samples lie. @param samples at least one */
export function p99(samples: readonly number[]): number {
  return quantileOf(
    [...samples].sort((a, b) => a - b),
    0.99,
  );
}

export function median(samples: readonly number[]): number {
  return summarise(samples).median;
}
