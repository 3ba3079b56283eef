import type { WireError } from './wire-error.js';

/** The calls that an engine in a thread answers: for each name what goes in and what comes out, structured-cloneable. */
export type EngineCalls = Record<string, { readonly input: unknown; readonly output: unknown }>;

/** From the caller to the thread. */
export interface CallMessage {
  readonly id: number;
  readonly method: string;
  readonly input: unknown;
}

/** From the thread to the caller. */
export interface AnswerMessage {
  readonly id: number;
  readonly output?: unknown;
  readonly error?: WireError;
}

/** The method that ends the thread. */
export const closeMethod = 'close';
