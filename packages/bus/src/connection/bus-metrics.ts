import type { Metrics } from '@tessera/service';
import type { BusObserver } from '../bus-options.js';

/** Counts what happens on the bus in a service's metrics. */
export function busMetrics(metrics: Metrics): BusObserver {
  const connected = metrics.gauge('tessera_nats_connected');
  const reconnects = metrics.counter('tessera_nats_reconnects_total');
  const full = metrics.counter('tessera_nats_full_total');
  const fullSeconds = metrics.counter('tessera_nats_full_seconds_total');
  const dropped = metrics.counter('tessera_nats_dropped_total');
  let wasConnected = false;
  return {
    connection(state) {
      connected.set(state === 'connected' ? 1 : 0);
      if (state === 'connected' && wasConnected) reconnects.inc();
      wasConnected = true;
    },
    queueFull(kind) {
      full.inc({ kind });
    },
    fullWaited(kind, waitedMs) {
      fullSeconds.inc({ kind }, waitedMs / 1000);
    },
    unknownFields(kind) {
      metrics.counter('tessera_unknown_fields_total').inc({ message: kind });
    },
    dropped(_kind, reason) {
      dropped.inc({ reason });
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
    unknownFields: (kind) => each((observer) => observer.unknownFields?.(kind)),
    dropped: (kind, reason) => each((observer) => observer.dropped?.(kind, reason)),
    connection: (state) => each((observer) => observer.connection?.(state)),
  };
}
