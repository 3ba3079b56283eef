import { type SpanContext, SpanStatusCode } from '@opentelemetry/api';
import type { TesseraError } from '@tessera/protocol';
import { type Metadata, Status } from 'nice-grpc-common';
import { counterMetric, gaugeMetric, histogramMetric } from '../telemetry/metric.js';
import type { Metrics } from '../telemetry/metrics.js';
import { startSpan } from '../telemetry/spans.js';
import { newTrace, parseTraceparent, traceparentHeader } from '../telemetry/trace.js';
import { methodLabels } from './method-labels.js';
import { OpenCalls } from './open-calls.js';

const grpcRequestsTotal = counterMetric('tessera_grpc_requests_total', {
  unit: 'count',
  help: 'Calls that ended, by their gRPC status.',
  labels: ['service', 'method', 'code'],
  from: 'every service',
});

const grpcRequestsRunning = gaugeMetric('tessera_grpc_requests_running', {
  unit: 'count',
  help: 'Calls that are open.',
  labels: ['service', 'method'],
  from: 'every service',
});

const grpcRequestSeconds = histogramMetric('tessera_grpc_request_seconds', {
  unit: 'seconds',
  help: 'Duration of a call, from its headers to its status.',
  labels: ['service', 'method'],
  from: 'every service',
});

/** A call that is counted as running. */
export interface ObservedCall {
  /** What its handler runs inside. */
  readonly trace: SpanContext;
  /** The first time counts. */
  ended(status: Status): void;
}

/** Counts and times the calls of a server, and makes a span of each. */
export class CallObserver {
  readonly open = new OpenCalls();
  readonly #total;
  readonly #running;
  readonly #duration;

  constructor(metrics: Metrics) {
    this.#total = metrics.counter(grpcRequestsTotal);
    this.#running = metrics.gauge(grpcRequestsRunning);
    this.#duration = metrics.histogram(grpcRequestSeconds);
  }

  begin(path: string, metadata: Metadata): ObservedCall {
    const labels = methodLabels(path);
    const parent = parseTraceparent(metadata.get(traceparentHeader));
    const attributes = { 'rpc.system.name': 'grpc', 'rpc.method': path.slice(1) };
    const span = startSpan(path.slice(1), { kind: 'server', attributes, parent: parent ?? null });
    const stop = this.#duration.startTimer(labels);
    this.#running.inc(labels);
    this.open.opened(path);
    let isOpen = true;
    return {
      // Without a recorded span the caller's stays the current one, or a trace begins that only the logs know.
      trace: span.isRecording() ? span.spanContext() : (parent ?? newTrace()),
      ended: (status) => {
        if (!isOpen) return;
        isOpen = false;
        const code = Status[status];
        this.open.closed(path);
        this.#running.dec(labels);
        this.#total.inc({ ...labels, code });
        stop();
        if (status !== Status.OK) span.setAttribute('error.type', code);
        if (status !== Status.OK && status !== Status.CANCELLED) {
          span.setStatus({ code: SpanStatusCode.ERROR, message: code });
        }
        span.setAttribute('rpc.status_code', code);
        span.end();
      },
    };
  }

  /** A call was refused before any frame was made for it. */
  refused(path: string, error: TesseraError): void {
    const labels = methodLabels(path);
    this.#total.inc({ ...labels, code: error.row.grpc });
    this.#duration.observe(labels, 0);
  }
}
