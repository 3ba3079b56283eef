import type { TesseraError } from '@tessera/protocol';
import type { RetryOptions } from './connect-options.js';

/** How much later than the server asks a call is made again, at most, so that those refused together do not come together. */
const lateShare = 0.2;

/** Decides whether a failed call is made again, and when. */
export class RetryPolicy {
  private readonly maxAttempts: number;
  private readonly firstPauseMs: number;
  private readonly maxPauseMs: number;

  /** @param random from 0 up to 1, as Math.random */
  constructor(
    { maxAttempts = 4, firstPauseMs = 200, maxPauseMs = 20_000 }: RetryOptions = {},
    private readonly random: () => number = Math.random,
  ) {
    this.maxAttempts = maxAttempts;
    this.firstPauseMs = firstPauseMs;
    this.maxPauseMs = maxPauseMs;
  }

  /**
   * How long to wait before the call is made again; undefined if it is not.
   * @param attempt the one that failed, from 1
   * @param remainingMs until the call's deadline
   */
  pauseMs(error: TesseraError, attempt: number, remainingMs: number): number | undefined {
    if (!error.retryable || attempt >= this.maxAttempts) return undefined;
    const { retryAfterMs } = error;
    if (retryAfterMs !== undefined && retryAfterMs > this.maxPauseMs) return undefined;
    const own = Math.min(this.maxPauseMs, this.firstPauseMs * 2 ** (attempt - 1));
    // Never before the time that the server said: it would only refuse again.
    const pauseMs =
      retryAfterMs === undefined ? own * (1 - this.random() / 2) : retryAfterMs * (1 + this.random() * lateShare);
    return pauseMs < remainingMs ? pauseMs : undefined;
  }
}
