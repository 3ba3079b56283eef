import { TesseraError } from '@tessera/protocol';
import { abortable } from './abort.js';

/**
 * What an aborted signal means to the caller: the signal's own TesseraError, DEADLINE_EXCEEDED after
 * `AbortSignal.timeout`, or else CANCELLED.
 */
export function abortError(signal: AbortSignal): TesseraError {
  const reason: unknown = signal.reason;
  if (reason instanceof TesseraError) return reason;
  if (reason instanceof Error && reason.name === 'TimeoutError') {
    return new TesseraError('DEADLINE_EXCEEDED', 'the deadline passed before the work was done', { cause: reason });
  }
  return new TesseraError('CANCELLED', 'the request was cancelled', { cause: reason });
}

/**
 * Stops work that nobody waits for.
 * @throws TesseraError as `abortError` says
 */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

/**
 * What a promise brings, unless the signal aborts first. The work itself goes on.
 * @throws TesseraError as `abortError` says
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  try {
    return await abortable(work, signal);
  } catch (reason) {
    throw signal.aborted && reason === signal.reason ? abortError(signal) : reason;
  }
}
