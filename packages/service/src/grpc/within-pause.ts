import { abortable } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';

export interface PauseOptions {
  /** How long the caller may say nothing. */
  readonly pauseMs: number;
  readonly signal: AbortSignal;
  /**
   * Since when the caller has nothing to wait for, as `performance.now()` tells it, where it may wait for what it sent;
   * that is now as long as it does. By default since it is asked for its next message.
   */
  readonly idleSinceMs?: () => number;
}

/**
 * The caller's next message.
 * @throws TesseraError REQUEST_STALLED when it does not come in time; the signal's reason
 */
export async function withinPause<T>(next: Promise<T>, options: PauseOptions): Promise<T> {
  const { pauseMs, signal, idleSinceMs = () => 0 } = options;
  const askedMs = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    const look = (): void => {
      const leftMs = Math.max(askedMs, idleSinceMs()) + pauseMs - performance.now();
      if (leftMs > 0) {
        timer = setTimeout(look, Math.ceil(leftMs));
        return;
      }
      const message = `nothing came from the client for ${pauseMs} ms, and its request is not complete`;
      reject(new TesseraError('REQUEST_STALLED', message));
    };
    timer = setTimeout(look, pauseMs);
  });
  next.catch(() => undefined);
  try {
    return await abortable(Promise.race([next, stalled]), signal);
  } finally {
    clearTimeout(timer);
  }
}
