import { TesseraError } from '@tessera/protocol';

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
