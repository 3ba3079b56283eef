/** Measurements in their order. */
export interface Sample {
  readonly count: number;
  readonly mean: number;
  /** The value below which this share of them lies, 0 to 1; NaN of none. */
  quantile(share: number): number;
}

/** @param values NaN stands for none */
export function sampleOf(values: Float64Array): Sample {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort();
  let sum = 0;
  for (const value of sorted) sum += value;
  return {
    count: sorted.length,
    mean: sum / sorted.length,
    quantile(share) {
      const at = (sorted.length - 1) * share;
      const low = sorted[Math.floor(at)] ?? Number.NaN;
      const high = sorted[Math.ceil(at)] ?? Number.NaN;
      return low + (high - low) * (at - Math.floor(at));
    },
  };
}
