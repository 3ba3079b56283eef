import { TesseraError } from '@tessera/protocol';

const defaultRetryAfterMs = 500;

/** Counts the calls that a stage answers at once, refuses more, and lets a drain wait for the last of them. */
export class Admission {
  private running = 0;
  private onIdle: (() => void) | undefined;

  /**
   * @param what the calls, in the words of an error: "Encode calls"
   * @param drain once aborted, new calls are refused
   * @param retryAfterMs the delay that a refused caller is told
   */
  constructor(
    private readonly what: string,
    private readonly maxRunning: number,
    private readonly drain: AbortSignal,
    private readonly retryAfterMs: () => number = () => defaultRetryAfterMs,
  ) {}

  /**
   * Begins a call; dispose of what is returned when it ends.
   * @throws TesseraError DRAINING, QUEUE_FULL
   */
  enter(): Disposable {
    if (this.drain.aborted) throw new TesseraError('DRAINING', 'this process is shutting down');
    if (this.running >= this.maxRunning) {
      const message = `${this.maxRunning} ${this.what} are open, which is the limit`;
      throw new TesseraError('QUEUE_FULL', message, { retryAfterMs: this.retryAfterMs() });
    }
    this.running++;
    return {
      [Symbol.dispose]: () => {
        this.running--;
        if (this.running === 0) this.onIdle?.();
      },
    };
  }

  /** Resolves when no call is running. Call it after the drain began. */
  async idle(): Promise<void> {
    if (this.running === 0) return;
    await new Promise<void>((resolve) => {
      this.onIdle = resolve;
    });
  }
}
