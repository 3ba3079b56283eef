import { linkedAbort, signalWithDeadline } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';

/**
 * A caller hangs up when its own timer fires, which is before ours does: by a network's transit, and by what a busy machine
 * took to see the call, which is seconds where work stands in line for its processors. So a caller that leaves within the
 * last half of its time, and of that at most the last two seconds, is taken to have met its deadline; always so within the
 * last half second. One that leaves of its own will in that time is told nothing wrong: it hears nothing any more.
 */
const transitMs = { atLeast: 500, atMost: 2_000 };

/**
 * When a call's handler must be done. When the deadline passes, the handler's signal aborts and whoever waits for it goes
 * on, even if it does not heed its signal. When the caller leaves, the signal aborts and the handler's own end is awaited.
 */
export class HandlerDeadline implements Disposable {
  readonly #handler = linkedAbort();
  readonly #deadline;
  readonly #leaving: AbortSignal;
  /** Unix ms: who leaves from then on met its deadline. */
  readonly #metFromMs: number;
  #interrupt: ((reason: unknown) => void) | undefined;

  /**
   * @param atMs Unix ms; Infinity for none
   * @param leaving aborts when the caller goes away
   */
  constructor(
    readonly atMs: number,
    leaving: AbortSignal,
  ) {
    this.#leaving = leaving;
    const half = (atMs - Date.now()) / 2;
    this.#metFromMs = atMs - Math.min(Math.max(half, transitMs.atLeast), transitMs.atMost);
    this.#deadline = signalWithDeadline(undefined, atMs);
    const passed = this.#deadline.signal;
    passed.addEventListener('abort', this.#onPassed, { once: true });
    leaving.addEventListener('abort', this.#onLeave, { once: true });
    if (leaving.aborted) this.#onLeave();
    if (passed.aborted) this.#onPassed();
  }

  /** Aborts for a TesseraError: DEADLINE_EXCEEDED or CANCELLED. */
  get signal(): AbortSignal {
    return this.#handler.signal;
  }

  /** What the promise gives, or a throw of DEADLINE_EXCEEDED when that comes first. For one promise at a time. */
  unlessPassed<T>(promise: Promise<T>): Promise<T> {
    const passed = this.#deadline.signal;
    if (passed.aborted) {
      promise.catch(() => {});
      return Promise.reject(passed.reason);
    }
    // A race against the deadline would add to what the deadline's promise has to tell with every message.
    return new Promise((resolve, reject) => {
      this.#interrupt = reject;
      promise.then(resolve, reject);
    });
  }

  [Symbol.dispose](): void {
    this.#deadline.signal.removeEventListener('abort', this.#onPassed);
    this.#leaving.removeEventListener('abort', this.#onLeave);
    this.#deadline[Symbol.dispose]();
  }

  readonly #onPassed = (): void => {
    const { reason } = this.#deadline.signal;
    this.#handler.abort(reason);
    this.#interrupt?.(reason);
  };

  readonly #onLeave = (): void => {
    this.#handler.abort(
      Date.now() >= this.#metFromMs
        ? new TesseraError('DEADLINE_EXCEEDED', 'the deadline passed before the answer was complete')
        : new TesseraError('CANCELLED', 'the caller went away'),
    );
  };
}
