import { SpanStatusCode } from '@opentelemetry/api';
import type { TesseraError } from '@tessera/protocol';
import { ServerError, type ServerMiddleware, Status } from 'nice-grpc-common';
import type { Metrics } from '../telemetry/metrics.js';
import { startSpan } from '../telemetry/spans.js';
import { newTrace, parseTraceparent, traceparentHeader, withSpanContext } from '../telemetry/trace.js';
import { drive } from './drive.js';
import type { OpenCalls } from './open-calls.js';

/** Counts and times each call, and runs it inside the caller's trace. Errors below it must be ServerErrors already. */
export function observeMiddleware(metrics: Metrics, openCalls: OpenCalls): ServerMiddleware {
  const total = metrics.counter('tessera_grpc_requests_total');
  const running = metrics.gauge('tessera_grpc_requests_running');
  const duration = metrics.histogram('tessera_grpc_request_seconds');
  return async function* observed(call, context) {
    const { path } = call.method;
    const [, service = '', method = ''] = path.split('/');
    const parent = parseTraceparent(context.metadata.get(traceparentHeader));
    const attributes = { 'rpc.system.name': 'grpc', 'rpc.method': path.slice(1) };
    const span = startSpan(path.slice(1), { kind: 'server', attributes, parent: parent ?? null });
    // Without a recorded span the caller's stays the current one, or a trace begins that only the logs know.
    const current = span.isRecording() ? span.spanContext() : (parent ?? newTrace());
    const stop = duration.startTimer({ service, method });
    running.inc({ service, method });
    openCalls.opened(path);
    // A caller that leaves a stream ends it by return(), past both `return` and `catch`.
    let code: string = Status[Status.CANCELLED];
    try {
      const result = yield* drive(call.next(call.request, context), (next) => withSpanContext(current, next));
      code = Status[Status.OK];
      return result;
    } catch (error) {
      code = Status[error instanceof ServerError ? error.code : Status.UNKNOWN];
      span.setAttribute('error.type', code);
      if (code !== Status[Status.CANCELLED]) span.setStatus({ code: SpanStatusCode.ERROR, message: code });
      throw error;
    } finally {
      openCalls.closed(path);
      running.dec({ service, method });
      total.inc({ service, method, code });
      stop();
      span.setAttribute('rpc.status_code', code);
      span.end();
    }
  };
}

/** Counts a call that was refused before any middleware saw it, as `observeMiddleware` would have. */
export function refusedCounter(metrics: Metrics): (path: string, error: TesseraError) => void {
  const total = metrics.counter('tessera_grpc_requests_total');
  const duration = metrics.histogram('tessera_grpc_request_seconds');
  return (path, error) => {
    const [, service = '', method = ''] = path.split('/');
    total.inc({ service, method, code: error.row.grpc });
    duration.observe({ service, method }, 0);
  };
}
