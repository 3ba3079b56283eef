import { TesseraError } from '@tessera/protocol';

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
  const controller = new AbortController();
  const onParentAbort = () => controller.abort(parent?.reason);
  const onDeadline = () =>
    controller.abort(new TesseraError('DEADLINE_EXCEEDED', 'the deadline passed before the work was complete'));
  let timer: NodeJS.Timeout | undefined;
  if (parent?.aborted) {
    onParentAbort();
  } else if (deadlineMs <= Date.now()) {
    onDeadline();
  } else {
    parent?.addEventListener('abort', onParentAbort, { once: true });
    if (deadlineMs - Date.now() <= maxTimerMs) timer = setTimeout(onDeadline, deadlineMs - Date.now());
  }
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      parent?.removeEventListener('abort', onParentAbort);
    },
  };
}
