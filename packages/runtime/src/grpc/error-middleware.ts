import { TesseraError } from '@tessera/protocol';
import { ServerError, type ServerMiddleware } from 'nice-grpc-common';
import type { Logger } from '../telemetry/log.js';
import { currentTraceId } from '../telemetry/trace.js';
import { toServerError } from './error-status.js';

/** Turns whatever a handler throws into a gRPC status with details. What is no TesseraError is a fault: logged, not told. */
export function errorMiddleware(service: string, log: Logger): ServerMiddleware {
  return async function* withErrors(call, context) {
    try {
      return yield* call.next(call.request, context);
    } catch (reason) {
      if (reason instanceof ServerError) throw reason;
      const error = TesseraError.from(reason);
      if (error.code !== 'INTERNAL') {
        log.debug({ code: error.code, rpc: call.method.path, reason: error.message }, 'call refused');
        throw toServerError(error);
      }
      log.error({ err: error.options.cause ?? error, rpc: call.method.path }, 'call failed by a fault');
      const trace = currentTraceId();
      throw toServerError(
        new TesseraError('INTERNAL', `a fault in the ${service}; its log has the cause under trace_id ${trace}`),
      );
    }
  };
}
