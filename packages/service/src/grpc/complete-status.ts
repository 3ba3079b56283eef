import { Metadata, type ServerInterceptingCall } from '@grpc/grpc-js';
import { detailsHeader, encodeStatus, maxMessageBytes, toServerError } from '@tessera/grpc';
import { outsideText, TesseraError } from '@tessera/protocol';
import { type ServerError, Status } from 'nice-grpc-common';
import { RichServerError } from 'nice-grpc-error-details';
import type { CallRecord } from './call-records.js';

/** A status on its way out. */
export type SentStatus = Parameters<ServerInterceptingCall['sendStatus']>[0];

/**
 * A status as it leaves: its text is fit for a header, and what gRPC itself says about a call (a message too large, bytes
 * that are none, a deadline) is an error of the table with all its details, as if a handler had thrown it.
 */
export function completeStatus(status: SentStatus, path: string, record: CallRecord): SentStatus {
  if (status.code === Status.OK) return status;
  const details = outsideText(status.details, maxMessageBytes);
  if ((status.metadata?.get(detailsHeader).length ?? 0) > 0) return { ...status, details };
  const error = errorOfStatus(status, path);
  if (error === undefined) return { ...status, details };
  return statusOf(error, record.requestId, status.metadata?.clone());
}

/** An error as the status that ends a call past every handler. */
export function statusOf(error: TesseraError, requestId?: string, metadata = new Metadata()): SentStatus {
  return statusOfServerError(toServerError(error, requestId), metadata);
}

/** The same of what a caller is told, with details where it has any. */
export function statusOfServerError(error: ServerError, metadata = new Metadata()): SentStatus {
  const { code, details } = error;
  if (error instanceof RichServerError) metadata.set(detailsHeader, encodeStatus(code, details, error.extra));
  return { code, details, metadata };
}

/** What gRPC's own sentences mean; it gives them no code of their own. Undefined for another one's status. */
function errorOfStatus({ code, details }: SentStatus, path: string): TesseraError | undefined {
  const method = path.slice(1);
  const [, received, most] = /^Received message.*larger than (?:max \((\d+) vs\.? )?(\d+)/.exec(details) ?? [];
  if (most !== undefined) {
    const size = received === undefined ? 'unpacks to more' : `has ${received} bytes, more`;
    return new TesseraError(
      'MESSAGE_TOO_LARGE',
      `a message of ${method} ${size} than the ${most} that this service takes; send media in smaller parts`,
    );
  }
  switch (code) {
    case Status.RESOURCE_EXHAUSTED:
      return /^Sent message larger/.test(details)
        ? new TesseraError('MESSAGE_TOO_LARGE', `an answer of ${method} is over the limit of messages: ${details}`)
        : undefined;
    case Status.DEADLINE_EXCEEDED:
      return new TesseraError('DEADLINE_EXCEEDED', 'the deadline passed before the answer was complete');
    case Status.UNIMPLEMENTED:
      return new TesseraError('UNSUPPORTED', `${method}: ${details}`);
    case Status.INTERNAL:
      if (/deserializing request/.test(details)) {
        return new TesseraError('REQUEST_INVALID', `the bytes of a message are none that ${method} takes`);
      }
      if (/^Invalid grpc-timeout|^Failed to decompress/.test(details)) {
        return new TesseraError('REQUEST_INVALID', `${method}: ${details}`);
      }
      return undefined;
    default:
      return undefined;
  }
}
