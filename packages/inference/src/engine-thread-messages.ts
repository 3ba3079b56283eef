import { isErrorCode, TesseraError } from '@tessera/protocol';

/** The calls that an engine in a thread answers: for each name what goes in and what comes out, structured-cloneable. */
export type EngineCalls = Record<string, { readonly input: unknown; readonly output: unknown }>;

/** From the caller to the thread. */
export interface CallMessage {
  readonly id: number;
  readonly method: string;
  readonly input: unknown;
}

/** From the thread to the caller; id 0 says that the engine is ready, or why it is not. */
export interface AnswerMessage {
  readonly id: number;
  readonly output?: unknown;
  readonly error?: WireError;
}

/** An error as structured clone carries it: classes do not survive the way. */
export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs?: number;
  readonly field?: string;
  readonly stage?: string;
}

/** The id of the answer that the thread gives unasked once its engine is made. */
export const readyId = 0;

/** The method that ends the thread. */
export const closeMethod = 'close';

export function toWireError(reason: unknown): WireError {
  const { code, message, options } = TesseraError.from(reason);
  const { retryAfterMs, field, stage } = options;
  return { code, message, retryAfterMs, field, stage };
}

export function fromWireError({ code, message, ...options }: WireError): TesseraError {
  return new TesseraError(isErrorCode(code) ? code : 'INTERNAL', message, options);
}
