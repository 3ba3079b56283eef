import { SpanStatusCode } from '@opentelemetry/api';
import type { JobKind } from '@tessera/protocol';
import { currentTraceparent, inSpan, parseTraceparent, withTraceparent } from '@tessera/service';
import type { JobOutcome } from '../jobs/job-outcome.js';

/** What a trace says of a job and its queue. */
export interface TracedJob {
  readonly kind: JobKind;
  /** The stream. */
  readonly stream: string;
  readonly requestId: string;
}

/** What a trace says of one delivery of a job. */
export interface TracedDelivery extends TracedJob {
  /** The durable consumer. */
  readonly durable: string;
  readonly queueMs: number;
  readonly deliveries: number;
}

/** Carries W3C trace context over NATS headers, and makes spans of what happens to jobs. */
export interface BusTrace {
  /** The traceparent of the current context, if there is one. */
  inject(): string | undefined;
  /** Runs the publishing of a job; messages published inside carry on what `inject` gives there. */
  send<T>(job: TracedJob, publish: () => Promise<T>): Promise<T>;
  /** Runs a job in the context that its message carried. */
  continue(
    traceparent: string | undefined,
    delivery: TracedDelivery,
    run: () => Promise<JobOutcome>,
  ): Promise<JobOutcome>;
}

const undone: ReadonlySet<JobOutcome> = new Set(['failed', 'exhausted', 'late']);

function messaging({ stream, requestId }: TracedJob, operation: 'send' | 'process') {
  return {
    'messaging.system.name': 'nats',
    'messaging.operation.name': operation,
    'messaging.operation.type': operation,
    'messaging.destination.name': stream,
    'tessera.request.id': requestId,
  };
}

/** The trace context that the service itself carries. */
export const serviceTrace: BusTrace = {
  inject: currentTraceparent,
  send: (job, publish) => inSpan(`send ${job.kind}`, { kind: 'producer', attributes: messaging(job, 'send') }, publish),
  continue: (traceparent, delivery, run) =>
    withTraceparent(traceparent, () => {
      const attributes = {
        ...messaging(delivery, 'process'),
        'messaging.consumer.group.name': delivery.durable,
        'tessera.job.queue_ms': delivery.queueMs,
        'tessera.job.deliveries': delivery.deliveries,
      };
      const parent = parseTraceparent(traceparent) ?? null;
      return inSpan(`process ${delivery.kind}`, { kind: 'consumer', attributes, parent }, async (span) => {
        const outcome = await run();
        span.setAttribute('tessera.job.outcome', outcome);
        if (undone.has(outcome)) span.setStatus({ code: SpanStatusCode.ERROR, message: outcome });
        return outcome;
      });
    }),
};
