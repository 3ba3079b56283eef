import { toServerError } from '@tessera/grpc';
import { TesseraError } from '@tessera/protocol';
import { ServerError, type ServerMiddleware } from 'nice-grpc-common';
import type { Logger } from '../telemetry/log.js';
import { currentTraceId } from '../telemetry/trace.js';
import type { CallRecord, CallRecords } from './call-records.js';

/** The call that failed. */
export interface FailedCall {
  readonly service: string;
  readonly log: Logger;
  /** Such as `/tessera.v1.LlmService/Generate`. */
  readonly path: string;
  readonly record: CallRecord | undefined;
}

/**
 * What the caller is told of whatever a handler threw: a status with details. What is no TesseraError is a fault: logged,
 * not told.
 */
export function tellError(reason: unknown, { service, log, path, record }: FailedCall): ServerError {
  if (reason instanceof ServerError) return reason;
  const error = TesseraError.from(reason);
  const requestId = record?.requestId;
  if (error.code !== 'INTERNAL') {
    const fields = { code: error.code, rpc: path, reason: error.message, request_id: requestId };
    log.debug(fields, 'call refused');
    return toServerError(error, requestId);
  }
  log.error({ err: error.options.cause ?? error, rpc: path, request_id: requestId }, 'call failed by a fault');
  const told = `a fault in the ${service}; its log has the cause under trace_id ${currentTraceId()}`;
  return toServerError(new TesseraError('INTERNAL', told), requestId);
}

/** Tells errors of a service that needs no frame, such as health. */
export function errorMiddleware(service: string, log: Logger, records: CallRecords): ServerMiddleware {
  return async function* withErrors(call, context) {
    try {
      return yield* call.next(call.request, context);
    } catch (reason) {
      throw tellError(reason, { service, log, path: call.method.path, record: records.of(context.metadata) });
    }
  };
}
