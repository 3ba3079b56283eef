const leastMs = 100;
const mostMs = 60_000;
/** Weight of the newest answer in the running mean. */
const weight = 0.2;

/** Guesses when a place comes free, for callers who were refused. */
export class RetryEstimate {
  #meanMs = 1000;

  /** @param busyMs how long an answer held its place */
  finished(busyMs: number): void {
    this.#meanMs += weight * (busyMs - this.#meanMs);
  }

  /** With so many answers under way so many have ended, on average, after this long. */
  afterMs(endings: number, underWay: number): number {
    return Math.round(Math.min(mostMs, Math.max(leastMs, (this.#meanMs * endings) / underWay)));
  }
}
