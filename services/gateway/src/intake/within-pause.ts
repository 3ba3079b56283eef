import { abortable } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';

/**
 * The client's next message.
 * @throws TesseraError REQUEST_STALLED when it does not come in time; the signal's reason
 */
export async function withinPause<T>(next: Promise<T>, pauseMs: number, signal: AbortSignal): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message = `nothing came from the client for ${pauseMs} ms, and its request is not complete`;
      reject(new TesseraError('REQUEST_STALLED', message));
    }, pauseMs);
  });
  next.catch(() => undefined);
  try {
    return await abortable(Promise.race([next, stalled]), signal);
  } finally {
    clearTimeout(timer);
  }
}
