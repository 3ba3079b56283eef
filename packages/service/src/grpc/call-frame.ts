import { SpanStatusCode } from '@opentelemetry/api';
import { TesseraError } from '@tessera/protocol';
import { type CallContext, type ServerMiddleware, Status } from 'nice-grpc-common';
import type { Logger } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import { startSpan } from '../telemetry/spans.js';
import { newTrace, parseTraceparent, traceparentHeader, withSpanContext } from '../telemetry/trace.js';
import type { CallFacts } from './call-facts.js';
import type { CallRecord, CallRecords } from './call-records.js';
import { tellError } from './error-middleware.js';
import { HandlerDeadline } from './handler-deadline.js';
import type { OpenCalls } from './open-calls.js';
import { type OnUnknownFields, watched } from './watch-fields.js';

export interface CallFrameOptions {
  /** The service's name, for what callers are told. */
  readonly name: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly records: CallRecords;
  readonly openCalls: OpenCalls;
  readonly drain: AbortSignal;
  readonly onUnknownFields: OnUnknownFields;
}

/**
 * All that stands between gRPC and a handler, as one layer, since each layer costs every message some turns of the
 * event loop's queue: counts and times the call, runs it inside the caller's trace, refuses it while the service drains,
 * looks for unknown fields, ends it at its deadline, and turns what the handler throws into a status with details.
 */
export function callFrame(options: CallFrameOptions): ServerMiddleware<CallFacts> {
  const { name, log, records, drain, onUnknownFields } = options;
  const observe = callObserver(options.metrics, options.openCalls);
  return async function* framed(call, context) {
    const { path } = call.method;
    const record = records.of(context.metadata);
    const observed = observe(path, context);
    using deadline = new HandlerDeadline(record?.deadlineMs ?? Date.now(), context.signal);
    let handler: AsyncGenerator<unknown, unknown, undefined> | undefined;
    try {
      if (drain.aborted) {
        throw new TesseraError('DRAINING', `this ${name} is shutting down; another replica will answer`);
      }
      const facts = { ...context, ...callFacts(path, log, record), signal: deadline.signal, deadlineMs: deadline.atMs };
      const request = watched(call, onUnknownFields);
      handler = withSpanContext(observed.trace, () => call.next(request as never, facts)) as typeof handler;
      for (;;) {
        // The body of an async generator runs in the context of whoever asks for its next value.
        const next = withSpanContext(observed.trace, () => (handler as AsyncGenerator).next());
        const result = await deadline.unlessPassed(next);
        if (result.done) {
          handler = undefined;
          observed.ended(Status.OK);
          return result.value as never;
        }
        yield result.value as never;
      }
    } catch (reason) {
      const error = withSpanContext(observed.trace, () => tellError(reason, { service: name, log, path, record }));
      observed.ended(error.code);
      throw error;
    } finally {
      // A caller that leaves a stream ends it by return(), past both `return` and `catch`.
      observed.ended(Status.CANCELLED);
      // Not awaited: a handler that is deaf to its signal holds nobody up.
      if (handler !== undefined) withSpanContext(observed.trace, () => handler?.return(undefined).catch(() => {}));
    }
  };
}

function callFacts(path: string, log: Logger, record: CallRecord | undefined) {
  return {
    log: log.child({ rpc: path.slice(1) }),
    arrival: record?.arrival,
    setRequestId: (requestId: string): void => {
      if (record !== undefined) record.requestId = requestId;
    },
  };
}

/** Counts and times calls, and makes a span of each. */
function callObserver(metrics: Metrics, openCalls: OpenCalls) {
  const total = metrics.counter('tessera_grpc_requests_total');
  const running = metrics.gauge('tessera_grpc_requests_running');
  const duration = metrics.histogram('tessera_grpc_request_seconds');
  return (path: string, { metadata }: CallContext) => {
    const [, service = '', method = ''] = path.split('/');
    const parent = parseTraceparent(metadata.get(traceparentHeader));
    const attributes = { 'rpc.system.name': 'grpc', 'rpc.method': path.slice(1) };
    const span = startSpan(path.slice(1), { kind: 'server', attributes, parent: parent ?? null });
    const stop = duration.startTimer({ service, method });
    running.inc({ service, method });
    openCalls.opened(path);
    let open = true;
    return {
      // Without a recorded span the caller's stays the current one, or a trace begins that only the logs know.
      trace: span.isRecording() ? span.spanContext() : (parent ?? newTrace()),
      /** The first time counts. */
      ended(status: Status): void {
        if (!open) return;
        open = false;
        const code = Status[status];
        openCalls.closed(path);
        running.dec({ service, method });
        total.inc({ service, method, code });
        stop();
        if (status !== Status.OK) span.setAttribute('error.type', code);
        if (status !== Status.OK && status !== Status.CANCELLED) {
          span.setStatus({ code: SpanStatusCode.ERROR, message: code });
        }
        span.setAttribute('rpc.status_code', code);
        span.end();
      },
    };
  };
}

/** Counts a call that was refused before any frame was made for it, as a frame would have. */
export function refusedCounter(metrics: Metrics): (path: string, error: TesseraError) => void {
  const total = metrics.counter('tessera_grpc_requests_total');
  const duration = metrics.histogram('tessera_grpc_request_seconds');
  return (path, error) => {
    const [, service = '', method = ''] = path.split('/');
    total.inc({ service, method, code: error.row.grpc });
    duration.observe({ service, method }, 0);
  };
}
