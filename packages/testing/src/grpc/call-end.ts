import { status } from '@grpc/grpc-js';
import { BadRequest, ErrorInfo, RequestInfo, RetryInfo } from 'nice-grpc-error-details';
import { Status } from 'nice-grpc-error-details/lib/proto/google/rpc/status.js';

/** How a call ended, as a client sees it that knows nothing of Tessera: its gRPC status, and its google.rpc details. */
export interface CallEnd {
  /** Such as INVALID_ARGUMENT, or OK; undefined where the stream was reset before one came. */
  readonly status?: string;
  readonly message: string;
  /** The code of the error table, from ErrorInfo; undefined where gRPC itself ended the call. */
  readonly code?: string;
  /** Whose code that is, from ErrorInfo. */
  readonly domain?: string;
  /** Whose failure it is, from ErrorInfo's metadata. */
  readonly stage?: string;
  /** From BadRequest. */
  readonly field?: string;
  /** From RequestInfo. */
  readonly requestId?: string;
  /** From RetryInfo. */
  readonly retryAfterMs?: number;
}

/**
 * @param code gRPC's number; undefined where no status came
 * @param details the bytes of the trailer `grpc-status-details-bin`, if there is one
 */
export function callEnd(code: number | undefined, message: string, details?: Uint8Array): CallEnd {
  const found = details === undefined ? [] : Status.decode(details).details;
  const detail = <T>(type: string, { decode }: { decode(bytes: Uint8Array): T }): T | undefined => {
    const any = found.find(({ typeUrl }) => typeUrl === `type.googleapis.com/google.rpc.${type}`);
    return any === undefined ? undefined : decode(any.value);
  };
  const info = detail('ErrorInfo', ErrorInfo);
  const bad = detail('BadRequest', BadRequest);
  const request = detail('RequestInfo', RequestInfo);
  const delay = detail('RetryInfo', RetryInfo)?.retryDelay;
  return {
    ...(code === undefined ? {} : { status: status[code] ?? String(code) }),
    message,
    ...(info === undefined ? {} : { code: info.reason, domain: info.domain }),
    ...(info?.metadata.stage === undefined ? {} : { stage: info.metadata.stage }),
    ...(bad === undefined ? {} : { field: bad.fieldViolations[0]?.field }),
    ...(request === undefined ? {} : { requestId: request.requestId }),
    ...(delay === undefined ? {} : { retryAfterMs: Number(delay.seconds) * 1000 + delay.nanos / 1e6 }),
  };
}
