import { isErrorCode, TesseraError } from '@tessera/protocol';

/** An error as structured clone carries it: classes do not survive the way. */
export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs?: number;
  readonly field?: string;
  readonly stage?: string;
}

export function toWireError(reason: unknown): WireError {
  const { code, message, options } = TesseraError.from(reason);
  const { retryAfterMs, field, stage } = options;
  return { code, message, retryAfterMs, field, stage };
}

export function fromWireError({ code, message, ...options }: WireError): TesseraError {
  return new TesseraError(isErrorCode(code) ? code : 'INTERNAL', message, options);
}
