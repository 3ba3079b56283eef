/** Whether computing goes on in a session that several engines use by turns. */
export class Progress {
  readonly #stallMs: number;
  #running = 0;
  /** Since when that is computed whose turn it is. */
  #movedMs = 0;

  /** @param stallMs one computation that takes longer is taken to hang */
  constructor(stallMs: number) {
    this.#stallMs = stallMs;
  }

  /** Computes, in its turn. */
  async watch<T>(compute: () => Promise<T>): Promise<T> {
    if (this.#running++ === 0) this.#movedMs = performance.now();
    try {
      return await compute();
    } finally {
      this.#running--;
      this.#movedMs = performance.now();
    }
  }

  get isStalled(): boolean {
    return this.#running > 0 && performance.now() - this.#movedMs >= this.#stallMs;
  }
}
