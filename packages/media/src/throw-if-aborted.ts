import { TesseraError } from '@tessera/protocol';

/**
 * Stops work that nobody waits for.
 * @throws TesseraError DEADLINE_EXCEEDED after `AbortSignal.timeout`, the signal's own TesseraError, or else CANCELLED
 */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  const reason: unknown = signal.reason;
  if (reason instanceof TesseraError) throw reason;
  if (reason instanceof Error && reason.name === 'TimeoutError') {
    throw new TesseraError('DEADLINE_EXCEEDED', 'the deadline passed while a media item was prepared', {
      cause: reason,
    });
  }
  throw new TesseraError('CANCELLED', 'the request was cancelled while a media item was prepared', { cause: reason });
}

/** What a promise brings, unless the signal aborts first: then the error of `throwIfAborted`. The work itself goes on. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  throwIfAborted(signal);
  if (signal === undefined) return await work;
  return await new Promise<T>((resolve, reject) => {
    const onAbort = () => {
      try {
        throwIfAborted(signal);
      } catch (reason) {
        reject(reason);
      }
    };
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
