import type { CostCurve } from './profile.js';

/**
 * Milliseconds for any size: on the line between the measured points around it; beyond the last on the line of the last
 * two, and in proportion where there is one. Below the first it is as long as the first: a call costs what it costs.
 */
export function costOf(curve: CostCurve): (size: number) => number {
  const [first] = curve;
  const last = curve.at(-1);
  if (first === undefined || last === undefined) return () => 0;
  if (curve.length === 1) return (size) => first.ms * Math.max(1, size / first.size);
  const known = new Map<number, number>();
  return (size) => {
    const seen = known.get(size);
    if (seen !== undefined) return seen;
    const cost = interpolate(curve, size);
    if (known.size < 4096) known.set(size, cost);
    return cost;
  };
}

function interpolate(curve: CostCurve, size: number): number {
  const above = Math.max(
    1,
    curve.findIndex((point, at) => point.size >= size || at === curve.length - 1),
  );
  const a = curve[above - 1] as CostCurve[number];
  const b = curve[above] as CostCurve[number];
  if (size <= a.size) return a.ms;
  return Math.max(a.ms, a.ms + ((size - a.size) * (b.ms - a.ms)) / (b.size - a.size));
}
