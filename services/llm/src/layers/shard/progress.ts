/** Whether computing goes on in a session that several engines use by turns. */
export class Progress {
  readonly #stallMs: number;
  #running = 0;
  /** Since when that is computed whose turn it is. */
  #movedMs = 0;
  /** Since when anything is computed. */
  #busySinceMs = 0;
  #busyMs = 0;

  /** @param stallMs one computation that takes longer is taken to hang */
  constructor(stallMs: number) {
    this.#stallMs = stallMs;
  }

  /** Computes, in its turn. */
  async watch<T>(compute: () => Promise<T>): Promise<T> {
    if (this.#running++ === 0) {
      this.#movedMs = performance.now();
      this.#busySinceMs = this.#movedMs;
    }
    try {
      return await compute();
    } finally {
      this.#movedMs = performance.now();
      if (--this.#running === 0) this.#busyMs += this.#movedMs - this.#busySinceMs;
    }
  }

  /** Milliseconds in which anything was computed, up to now. */
  get busyMs(): number {
    return this.#busyMs + (this.#running > 0 ? performance.now() - this.#busySinceMs : 0);
  }

  get isStalled(): boolean {
    return this.#running > 0 && performance.now() - this.#movedMs >= this.#stallMs;
  }
}
