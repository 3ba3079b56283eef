import { TesseraError } from '@tessera/protocol';
import { linkedAbort } from './linked-abort.js';

/** setTimeout takes no longer delay; it would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

/** Milliseconds until a deadline (Unix ms), never below 0. */
export function remainingMs(deadlineMs: number, nowMs = Date.now()): number {
  return Math.max(0, deadlineMs - nowMs);
}

/** A signal that must be disposed of, so that neither timer nor listener outlives the work. */
export interface DeadlineSignal extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * A signal that aborts with `parent`, for the same reason, or at the deadline, with TesseraError DEADLINE_EXCEEDED.
 * Use it with `using`, or dispose of it in `finally`. (AbortSignal.any and .timeout hold memory until they fire.)
 * @param deadlineMs Unix ms; Infinity for none
 */
export function signalWithDeadline(parent: AbortSignal | undefined, deadlineMs: number): DeadlineSignal {
  const stop = linkedAbort(parent);
  const onDeadline = () =>
    stop.abort(new TesseraError('DEADLINE_EXCEEDED', 'the deadline passed before the work was done'));
  const leftMs = deadlineMs - Date.now();
  let timer: NodeJS.Timeout | undefined;
  if (leftMs <= 0) onDeadline();
  else if (leftMs <= maxTimerMs && !stop.signal.aborted) timer = setTimeout(onDeadline, leftMs);
  return {
    signal: stop.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      stop[Symbol.dispose]();
    },
  };
}
