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
    dropped(_kind, reason) {
      metrics.counter('tessera_nats_dropped_total').inc({ reason });
    },
  };
}

/** Tells several observers as one. */
export function allObservers(observers: readonly (BusObserver | undefined)[]): BusObserver {
  const present = observers.filter((observer) => observer !== undefined);
  return {
    published: (kind, bytes) => present.forEach((observer) => observer.published?.(kind, bytes)),
    queueFull: (kind) => present.forEach((observer) => observer.queueFull?.(kind)),
    jobEnded: (kind, outcome, times) => present.forEach((observer) => observer.jobEnded?.(kind, outcome, times)),
    dropped: (kind, reason) => present.forEach((observer) => observer.dropped?.(kind, reason)),
    connection: (state) => present.forEach((observer) => observer.connection?.(state)),
  };
}
