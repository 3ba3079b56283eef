/** The events of a stream, and once `'drain'` among them when the signal aborts while it runs: at once, also while no event comes. */
export function withDrain<T>(events: AsyncIterable<T>, drain: AbortSignal): AsyncIterableIterator<T | 'drain'> {
  return new DrainTold(events[Symbol.asyncIterator](), drain);
}

/** An iterator and no generator: each token of an answer passes here. */
class DrainTold<T> implements AsyncIterableIterator<T | 'drain'> {
  readonly #events: AsyncIterator<T>;
  readonly #drain: AbortSignal;
  /** Asked for, and not given to the reader, who was told of the drain instead. */
  #asked: Promise<IteratorResult<T>> | undefined;
  #tell: ((told: IteratorResult<'drain'>) => void) | undefined;
  #isDue: boolean;

  constructor(events: AsyncIterator<T>, drain: AbortSignal) {
    this.#events = events;
    this.#drain = drain;
    this.#isDue = drain.aborted;
    drain.addEventListener('abort', this.#onDrain, { once: true });
  }

  next(): Promise<IteratorResult<T | 'drain'>> {
    if (this.#isDue) {
      this.#isDue = false;
      return Promise.resolve({ done: false, value: 'drain' });
    }
    this.#asked ??= this.#events.next();
    const asked = this.#asked;
    return new Promise((resolve, reject) => {
      let told = false;
      this.#tell = (drain) => {
        told = true;
        resolve(drain);
      };
      const settle = (give: () => void): void => {
        if (told) return;
        this.#tell = undefined;
        this.#asked = undefined;
        give();
      };
      asked.then(
        (result) => {
          if (result.done) this.#forgetDrain();
          settle(() => resolve(result));
        },
        (reason) => {
          this.#forgetDrain();
          settle(() => reject(reason));
        },
      );
    });
  }

  async return(): Promise<IteratorResult<T | 'drain'>> {
    this.#forgetDrain();
    await this.#events.return?.();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The signal lives as long as the process, and is to hold nothing of a stream that is over. */
  #forgetDrain(): void {
    this.#drain.removeEventListener('abort', this.#onDrain);
  }

  readonly #onDrain = (): void => {
    if (this.#tell === undefined) this.#isDue = true;
    else this.#tell({ done: false, value: 'drain' });
    this.#tell = undefined;
  };
}
