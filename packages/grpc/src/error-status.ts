import { type ErrorCode, isErrorCode, outsideText, TesseraError } from '@tessera/protocol';
import { type ClientError, Status } from 'nice-grpc-common';
import {
  BadRequest,
  type ErrorDetails,
  ErrorInfo,
  RequestInfo,
  RetryInfo,
  RichClientError,
  RichServerError,
} from 'nice-grpc-error-details';

/** Whose codes they are, in ErrorInfo. */
const domain = 'tessera';

/**
 * gRPC carries the message in a header, where a byte may take three, and twice more in the details, as base64; headers
 * over 8 KB together are refused on the way.
 */
export const maxMessageBytes = 1000;

/** A path of the contract is short; a caller's own keys in it need not be. */
const maxFieldBytes = 200;

/**
 * The gRPC form of an error: its status, and google.rpc details that name the code, the stage, the delay, the field and
 * the request.
 * @param requestId of the request that the call carries, when it has one
 */
export function toServerError(error: TesseraError, requestId?: string): RichServerError {
  const { retryAfterMs, field, stage } = error.options;
  const message = outsideText(error.message, maxMessageBytes);
  const details: ErrorDetails[] = [
    ErrorInfo.fromPartial({ reason: error.code, domain, metadata: stage === undefined ? {} : { stage } }),
  ];
  if (retryAfterMs !== undefined) {
    const wholeMs = Math.round(retryAfterMs);
    const retryDelay = { seconds: Math.floor(wholeMs / 1000), nanos: (wholeMs % 1000) * 1_000_000 };
    details.push(RetryInfo.fromPartial({ retryDelay }));
  }
  if (field !== undefined) {
    const violation = { field: outsideText(field, maxFieldBytes), description: message };
    details.push(BadRequest.fromPartial({ fieldViolations: [violation] }));
  }
  if (requestId !== undefined) details.push(RequestInfo.fromPartial({ requestId }));
  return new RichServerError(Status[error.row.grpc], message, details);
}

/**
 * What a failed call means: the very error that a Tessera service threw, or the nearest code for what gRPC itself says.
 * @param target the address that was called, for messages
 */
export function fromClientError(error: ClientError, target: string): TesseraError {
  const details = error instanceof RichClientError ? error.extra : [];
  const info = details.find((detail): detail is ErrorInfo => detail.$type === ErrorInfo.$type);
  const request = details.find((detail): detail is RequestInfo => detail.$type === RequestInfo.$type);
  if (info?.domain === domain && isErrorCode(info.reason)) {
    return new TesseraError(info.reason, error.details, {
      cause: error,
      stage: info.metadata.stage,
      retryAfterMs: retryAfterMs(details),
      field: details.find((detail): detail is BadRequest => detail.$type === BadRequest.$type)?.fieldViolations[0]
        ?.field,
      requestId: request?.requestId,
    });
  }
  return new TesseraError(codeOfStatus(error), `${target} answers ${Status[error.code]}: ${error.details}`, {
    cause: error,
  });
}

function retryAfterMs(details: readonly ErrorDetails[]): number | undefined {
  const delay = details.find((detail): detail is RetryInfo => detail.$type === RetryInfo.$type)?.retryDelay;
  return delay === undefined ? undefined : delay.seconds * 1000 + delay.nanos / 1_000_000;
}

function codeOfStatus(error: ClientError): ErrorCode {
  switch (error.code) {
    case Status.CANCELLED:
      return 'CANCELLED';
    case Status.DEADLINE_EXCEEDED:
      return 'DEADLINE_EXCEEDED';
    case Status.UNAVAILABLE:
      return 'STAGE_UNAVAILABLE';
    case Status.UNIMPLEMENTED:
      return 'UNSUPPORTED';
    case Status.INVALID_ARGUMENT:
    case Status.OUT_OF_RANGE:
      return 'REQUEST_INVALID';
    case Status.RESOURCE_EXHAUSTED:
      // gRPC has no status of its own for its size limits, only this wording.
      return /larger than/.test(error.details) ? 'MESSAGE_TOO_LARGE' : 'QUEUE_FULL';
    default:
      return 'INTERNAL';
  }
}
