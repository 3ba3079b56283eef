import { context as otel, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { ServerError, type ServerMiddleware, Status } from 'nice-grpc-common';
import type { Metrics } from '../telemetry/metrics.js';
import { childOf, parseTraceparent, traceparentHeader, withSpanContext } from '../telemetry/trace.js';
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
    const span = trace.getTracer('tessera').startSpan(
      path.slice(1),
      {
        kind: SpanKind.SERVER,
        attributes: { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method },
      },
      parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent),
    );
    const spanContext = span.isRecording() ? span.spanContext() : childOf(parent);
    const spanScope = trace.setSpan(ROOT_CONTEXT, span.isRecording() ? span : trace.wrapSpanContext(spanContext));
    const stop = duration.startTimer({ service, method });
    running.inc({ service, method });
    openCalls.opened(path);
    // A caller that leaves a stream ends it by return(), past both `return` and `catch`.
    let code: string = Status[Status.CANCELLED];
    try {
      const result = yield* drive(call.next(call.request, context), (next) =>
        otel.with(spanScope, () => withSpanContext(spanContext, next)),
      );
      code = Status[Status.OK];
      return result;
    } catch (error) {
      code = Status[error instanceof ServerError ? error.code : Status.UNKNOWN];
      span.setStatus({ code: SpanStatusCode.ERROR, message: code });
      throw error;
    } finally {
      openCalls.closed(path);
      running.dec({ service, method });
      total.inc({ service, method, code });
      stop();
      span.setAttribute('rpc.grpc.status_code', Status[code as keyof typeof Status]);
      span.end();
    }
  };
}
