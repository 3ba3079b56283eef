import { Any, BadRequest, type ErrorDetails, ErrorInfo, RequestInfo, RetryInfo } from 'nice-grpc-error-details';
import { Status } from 'nice-grpc-error-details/lib/proto/google/rpc/status.js';

/** The metadata in which a status carries its google.rpc details. */
export const detailsHeader = 'grpc-status-details-bin';

/** Those that an error of the table is told with. */
const detailTypes = [ErrorInfo, RetryInfo, BadRequest, RequestInfo] as const;

const urlPrefix = 'type.googleapis.com/';

/** A status with its details, as `detailsHeader` carries it. Details of other types lose their contents. */
export function encodeStatus(code: number, message: string, extra: readonly ErrorDetails[]): Buffer {
  const details = extra.map((detail) => {
    const type = detailTypes.find(({ $type }) => $type === detail.$type);
    return Any.fromPartial({ typeUrl: urlPrefix + detail.$type, value: type?.encode(detail as never).finish() });
  });
  return Buffer.from(Status.encode(Status.fromPartial({ code, message, details })).finish());
}

/** The details of a status in `detailsHeader`; without those of types that errors of the table are not told with. */
export function decodeDetails(bytes: Uint8Array): ErrorDetails[] {
  return Status.decode(bytes).details.flatMap(({ typeUrl, value }): ErrorDetails[] => {
    const type = detailTypes.find(({ $type }) => typeUrl === urlPrefix + $type);
    return type === undefined ? [] : [type.decode(value)];
  });
}
