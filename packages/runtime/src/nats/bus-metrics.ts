import type { Metrics } from '../telemetry/metrics.js';
import type { BusObserver } from './bus-options.js';

/** Counts what happens on the bus in a service's metrics. */
export function busMetrics(metrics: Metrics): BusObserver {
  let wasConnected = false;
  return {
    connection(state) {
      metrics.gauge('tessera_nats_connected').set(state === 'connected' ? 1 : 0);
      if (state === 'connected' && wasConnected) metrics.counter('tessera_nats_reconnects_total').inc();
      wasConnected = true;
    },
    queueFull(kind) {
      metrics.counter('tessera_nats_full_total').inc({ kind });
    },
    fullWaited(kind, waitedMs) {
      metrics.counter('tessera_nats_full_seconds_total').inc({ kind }, waitedMs / 1000);
    },
    jobStalled(kind) {
      metrics.counter('tessera_jobs_stalled_total').inc({ kind });
    },
    dropped(_kind, reason) {
      metrics.counter('tessera_nats_dropped_total').inc({ reason });
    },
  };
}

/** Tells several observers as one. */
export function allObservers(observers: readonly (BusObserver | undefined)[]): BusObserver {
  const each = (tell: (observer: BusObserver) => void) => {
    for (const observer of observers) if (observer !== undefined) tell(observer);
  };
  return {
    published: (kind, bytes) => each((observer) => observer.published?.(kind, bytes)),
    queueFull: (kind) => each((observer) => observer.queueFull?.(kind)),
    fullWaited: (kind, waitedMs) => each((observer) => observer.fullWaited?.(kind, waitedMs)),
    received: (kind, bytes) => each((observer) => observer.received?.(kind, bytes)),
    jobStalled: (kind) => each((observer) => observer.jobStalled?.(kind)),
    jobEnded: (kind, outcome, times) => each((observer) => observer.jobEnded?.(kind, outcome, times)),
    dropped: (kind, reason) => each((observer) => observer.dropped?.(kind, reason)),
    connection: (state) => each((observer) => observer.connection?.(state)),
  };
}
