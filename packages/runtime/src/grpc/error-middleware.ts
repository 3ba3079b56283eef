import { TesseraError } from '@tessera/protocol';
import { ServerError, type ServerMiddleware } from 'nice-grpc-common';
import type { Logger } from '../telemetry/log.js';
import { currentTraceId } from '../telemetry/trace.js';
import type { CallRecords } from './call-records.js';
import { toServerError } from './error-status.js';

/** Turns whatever a handler throws into a gRPC status with details. What is no TesseraError is a fault: logged, not told. */
export function errorMiddleware(service: string, log: Logger, records: CallRecords): ServerMiddleware {
  return async function* withErrors(call, context) {
    const record = records.of(context.metadata);
    try {
      return yield* call.next(call.request, context);
    } catch (reason) {
      if (reason instanceof ServerError) throw reason;
      const error = TesseraError.from(reason);
      const requestId = record?.requestId;
      if (error.code !== 'INTERNAL') {
        const fields = { code: error.code, rpc: call.method.path, reason: error.message, request_id: requestId };
        log.debug(fields, 'call refused');
        throw toServerError(error, requestId);
      }
      log.error(
        { err: error.options.cause ?? error, rpc: call.method.path, request_id: requestId },
        'call failed by a fault',
      );
      const told = `a fault in the ${service}; its log has the cause under trace_id ${currentTraceId()}`;
      throw toServerError(new TesseraError('INTERNAL', told), requestId);
    }
  };
}
