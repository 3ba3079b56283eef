import { remainingMs, signalWithDeadline } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';
import { ClientError } from 'nice-grpc-common';
import { fromClientError } from './error-status.js';

/** When a call must be over. The earlier one counts if both are given. */
export interface CallTimes {
  /** Unix ms; what a handler hands on from its own `context.deadlineMs`. */
  deadlineMs?: number;
  /** From now. */
  timeoutMs?: number;
}

/** A call under way, from its first header to its end. */
export interface OpenCall extends Disposable {
  /** Aborts with the caller's, or at the deadline. */
  readonly signal: AbortSignal;
  /** What the call sends besides the caller's own metadata. */
  readonly headers: readonly (readonly [key: string, value: string])[];
  succeeded(): void;
  /** @returns what the call throws */
  failed(reason: unknown): TesseraError;
}

/** What each call begins with and ends with, however its messages are read. @param path such as `/tessera.v1.ChatService/Chat` */
export type CallOpener = (path: string, options: CallTimes & { signal?: AbortSignal }) => OpenCall;

/** gRPC takes at most eight digits. */
const maxTimeoutMs = 99_999_999;

/**
 * Opens calls that have a deadline, which the server learns, and that fail with the TesseraError that the service threw.
 * @param address the one that is called, for messages
 * @param defaultTimeoutMs for calls that say neither `deadlineMs` nor `timeoutMs`
 */
export function callOpener(address: string, defaultTimeoutMs: number): CallOpener {
  return (_path, { deadlineMs, timeoutMs, signal }) => {
    const fallbackMs = deadlineMs === undefined ? defaultTimeoutMs : maxTimeoutMs;
    const atMs = Math.min(deadlineMs ?? Number.POSITIVE_INFINITY, Date.now() + (timeoutMs ?? fallbackMs));
    const deadline = signalWithDeadline(signal, atMs);
    return {
      signal: deadline.signal,
      headers: [['grpc-timeout', `${Math.min(Math.ceil(remainingMs(atMs)), maxTimeoutMs)}m`]],
      succeeded: () => undefined,
      failed: (reason) => errorOf(reason, deadline.signal, address),
      [Symbol.dispose]: () => deadline[Symbol.dispose](),
    };
  };
}

/** What a failed call throws: the reason of its signal where that ended it. */
function errorOf(reason: unknown, signal: AbortSignal, address: string): TesseraError {
  if (signal.aborted) return TesseraError.from(signal.reason);
  return reason instanceof ClientError ? fromClientError(reason, address) : TesseraError.from(reason);
}
