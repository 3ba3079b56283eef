/** Latencies of one size that are remembered. */
const remembered = 512;
/** Fewer say little of their 99th percentile. */
const enough = 64;
/** The percentile is looked up anew after so many. */
const every = 32;
/** A timer is no finer, and a call that takes less is not slow. */
const leastMs = 2;

interface Recent {
  readonly ms: Float64Array;
  count: number;
  p99: number | undefined;
}

/** How long calls take, by the power of two of their rows: what is slow for one row is not for a hundred. */
export class CallLatency {
  readonly #sizes: (Recent | undefined)[] = [];

  add(rows: number, ms: number): void {
    const size = sizeOf(rows);
    const recent = this.#sizes[size] ?? { ms: new Float64Array(remembered), count: 0, p99: undefined };
    this.#sizes[size] = recent;
    recent.ms[recent.count++ % remembered] = ms;
    if (recent.count >= enough && recent.count % every === 0) {
      const known = recent.ms.slice(0, Math.min(recent.count, remembered)).sort();
      recent.p99 = known[Math.ceil(known.length * 0.99) - 1];
    }
  }

  /** When a call of so many rows is slow: the 99th percentile of its like, but 2 ms at least; undefined where few are known. */
  slowAfterMs(rows: number): number | undefined {
    const p99 = this.#sizes[sizeOf(rows)]?.p99;
    return p99 === undefined ? undefined : Math.max(leastMs, p99);
  }
}

function sizeOf(rows: number): number {
  return Math.ceil(Math.log2(Math.max(1, rows)));
}
