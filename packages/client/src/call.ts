import { abortError, type DeadlineSignal, remainingMs, signalWithDeadline, sleep } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';
import type { CallOptions } from './chat-request.js';
import type { RetryPolicy } from './retry-policy.js';

/** One call of the caller's, with all of its attempts. */
export class Call implements Disposable {
  /** Unix ms. */
  readonly deadlineMs: number;
  private readonly deadline: DeadlineSignal;
  private attempts = 1;

  constructor(
    { signal, timeoutMs }: CallOptions,
    defaultTimeoutMs: number,
    private readonly retry: RetryPolicy,
    /** Aborts with the client that makes the call. */
    client?: AbortSignal,
  ) {
    this.deadlineMs = Date.now() + (timeoutMs ?? defaultTimeoutMs);
    const signals = [signal, client].filter((each) => each !== undefined);
    this.deadline = signalWithDeadline(AbortSignal.any(signals), this.deadlineMs);
  }

  /** Aborts with the caller's, or at the deadline. */
  get signal(): AbortSignal {
    return this.deadline.signal;
  }

  /** Which attempt it is, from 1. */
  get attempt(): number {
    return this.attempts;
  }

  /** What the caller is told of a failure. */
  errorOf(reason: unknown): TesseraError {
    return this.signal.aborted ? abortError(this.signal) : TesseraError.from(reason);
  }

  /** How long to wait before the next attempt; undefined where there is none. */
  pauseMs(error: TesseraError): number | undefined {
    return this.retry.pauseMs(error, this.attempts, remainingMs(this.deadlineMs));
  }

  /** Waits for the next attempt. @throws what the signal is aborted for */
  async pause(ms: number): Promise<void> {
    this.attempts++;
    await sleep(ms, this.signal);
  }

  /** Makes a call whose answer comes as one. @throws TesseraError */
  async run<Response>(make: () => Promise<Response>): Promise<Response> {
    for (;;) {
      try {
        return await make();
      } catch (reason) {
        const error = this.errorOf(reason);
        const pauseMs = this.pauseMs(error);
        if (pauseMs === undefined) throw error;
        await this.pause(pauseMs).catch((why) => {
          throw this.errorOf(why);
        });
      }
    }
  }

  [Symbol.dispose](): void {
    this.deadline[Symbol.dispose]();
  }
}
