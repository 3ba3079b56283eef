import { type ErrorCode, isErrorCode, TesseraError } from '@tessera/protocol';
import { type ClientError, Status } from 'nice-grpc-common';
import {
  BadRequest,
  type ErrorDetails,
  ErrorInfo,
  RetryInfo,
  RichClientError,
  RichServerError,
} from 'nice-grpc-error-details';

const domain = 'tessera';

/** gRPC carries the message in a header; headers over 8 KB are refused on the way. */
const maxMessageCharacters = 1000;

/** The gRPC form of an error: its status, and google.rpc details that name the code, the delay and the field. */
export function toServerError(error: TesseraError): RichServerError {
  const { retryAfterMs, field, stage } = error.options;
  const message = error.message.slice(0, maxMessageCharacters);
  const details: ErrorDetails[] = [
    ErrorInfo.fromPartial({ reason: error.code, domain, metadata: stage === undefined ? {} : { stage } }),
  ];
  if (retryAfterMs !== undefined) {
    const retryDelay = { seconds: Math.floor(retryAfterMs / 1000), nanos: Math.round(retryAfterMs % 1000) * 1_000_000 };
    details.push(RetryInfo.fromPartial({ retryDelay }));
  }
  if (field !== undefined) {
    details.push(BadRequest.fromPartial({ fieldViolations: [{ field, description: message }] }));
  }
  return new RichServerError(Status[error.row.grpc], message, details);
}

/**
 * What a failed call means: the very error that a Tessera service threw, or the nearest code for what gRPC itself says.
 * @param target the address that was called, for messages
 */
export function fromClientError(error: ClientError, target: string): TesseraError {
  const details = error instanceof RichClientError ? error.extra : [];
  const info = details.find((detail): detail is ErrorInfo => detail.$type === ErrorInfo.$type);
  if (info?.domain === domain && isErrorCode(info.reason)) {
    return new TesseraError(info.reason, error.details, {
      cause: error,
      stage: info.metadata.stage,
      retryAfterMs: retryAfterMs(details),
      field: details.find((detail): detail is BadRequest => detail.$type === BadRequest.$type)?.fieldViolations[0]
        ?.field,
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
