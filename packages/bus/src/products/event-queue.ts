/** Events that are pushed, for one reader that takes them when it likes. Ends, without an error, when its signal aborts. */
export class EventQueue<T> implements AsyncIterable<T> {
  private readonly events: T[] = [];
  private failure: unknown;
  private ended = false;
  private wake: () => void = () => {};

  /** @param onEnd called once, when nobody reads any more; not when the signal was aborted before */
  constructor(
    private readonly signal: AbortSignal,
    private readonly onEnd: () => void,
  ) {
    if (signal.aborted) this.ended = true;
    else signal.addEventListener('abort', this.end, { once: true });
  }

  push(event: T): void {
    if (this.ended) return;
    this.events.push(event);
    this.wake();
  }

  /** The reader gets what was pushed, and then the error. */
  fail(reason: unknown): void {
    if (this.ended) return;
    this.failure = reason;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    try {
      while (!this.signal.aborted) {
        const event = this.events.shift();
        if (event !== undefined) yield event;
        else if (this.failure !== undefined) throw this.failure;
        else if (this.ended) return;
        else {
          await new Promise<void>((resolve) => {
            this.wake = resolve;
          });
        }
      }
    } finally {
      this.end();
    }
  }

  private readonly end = (): void => {
    if (this.ended) return;
    this.ended = true;
    this.signal.removeEventListener('abort', this.end);
    this.onEnd();
    this.wake();
  };
}
