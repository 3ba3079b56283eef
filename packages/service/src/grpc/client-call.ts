import { remainingMs, signalWithDeadline } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';
import { ClientError, Status } from 'nice-grpc-common';
import { failSpan, startSpan, within } from '../telemetry/spans.js';
import { currentTraceparent, traceparentHeader } from '../telemetry/trace.js';
import { fromClientError } from './error-status.js';

/** When a call must be over. The earlier one counts if both are given. */
export interface CallTimes {
  /** Unix ms; what a handler hands on from its own `context.deadlineMs`. */
  deadlineMs?: number;
  /** From now. */
  timeoutMs?: number;
}

/** gRPC takes at most eight digits. */
const maxTimeoutMs = 99_999_999;

/** What each call begins with and ends with, however its messages are read. */
export function openCall(
  path: string,
  address: string,
  defaultTimeoutMs: number,
  { deadlineMs, timeoutMs, signal }: CallTimes & { signal?: AbortSignal },
) {
  const fallbackMs = deadlineMs === undefined ? defaultTimeoutMs : maxTimeoutMs;
  const atMs = Math.min(deadlineMs ?? Number.POSITIVE_INFINITY, Date.now() + (timeoutMs ?? fallbackMs));
  const deadline = signalWithDeadline(signal, atMs);
  const method = path.slice(1);
  const attributes = { 'rpc.system.name': 'grpc', 'rpc.method': method, 'server.address': address };
  const span = startSpan(method, { kind: 'client', attributes });
  // A caller that leaves a stream ends it by return(), past both `return` and `catch`.
  let status: string = Status[Status.CANCELLED];
  const headers: [key: string, value: string][] = [
    ['grpc-timeout', `${Math.min(Math.ceil(remainingMs(atMs)), maxTimeoutMs)}m`],
  ];
  // Outside of any request there is none to send: where the trace begins, and whether it is sampled, the server decides.
  const traceparent = within(span, currentTraceparent);
  if (traceparent !== undefined) headers.push([traceparentHeader, traceparent]);
  return {
    signal: deadline.signal,
    headers,
    succeeded(): void {
      status = Status[Status.OK];
    },
    /** @returns what the call throws */
    failed(reason: unknown): TesseraError {
      const error = errorOf(reason, deadline.signal, address);
      status = error.row.grpc;
      failSpan(span, error);
      return error;
    },
    [Symbol.dispose](): void {
      deadline[Symbol.dispose]();
      span.setAttribute('rpc.status_code', status);
      span.end();
    },
  };
}

/** What a failed call throws: the reason of its signal where that ended it. */
function errorOf(reason: unknown, signal: AbortSignal, address: string): TesseraError {
  if (signal.aborted) return TesseraError.from(signal.reason);
  return reason instanceof ClientError ? fromClientError(reason, address) : TesseraError.from(reason);
}
