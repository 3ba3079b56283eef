import { counterMetric, gaugeMetric, type Metrics, unknownFieldsTotal } from '@tessera/service';
import type { BusObserver } from '../bus-options.js';

const natsConnected = gaugeMetric('tessera_nats_connected', {
  unit: 'count',
  help: '1 while NATS is connected, else 0.',
  from: 'every service',
});

const natsReconnectsTotal = counterMetric('tessera_nats_reconnects_total', {
  unit: 'count',
  help: 'Times that the connection to NATS came back.',
  from: 'every service',
});

const natsFullTotal = counterMetric('tessera_nats_full_total', {
  unit: 'count',
  help: 'Messages that had to wait because their stream was full.',
  labels: ['kind'],
  from: 'every service',
});

const natsFullSecondsTotal = counterMetric('tessera_nats_full_seconds_total', {
  unit: 'seconds',
  help: 'Time that messages waited for room on a full stream.',
  labels: ['kind'],
  from: 'every service',
});

const natsDroppedTotal = counterMetric('tessera_nats_dropped_total', {
  unit: 'count',
  help: 'Messages received and not used: duplicate, stale, corrupt or oversized.',
  labels: ['reason'],
  from: 'every service',
});

/** Counts what happens on the bus in a service's metrics. */
export function busMetrics(metrics: Metrics): BusObserver {
  const connected = metrics.gauge(natsConnected);
  const reconnects = metrics.counter(natsReconnectsTotal);
  const full = metrics.counter(natsFullTotal);
  const fullSeconds = metrics.counter(natsFullSecondsTotal);
  const dropped = metrics.counter(natsDroppedTotal);
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
      metrics.counter(unknownFieldsTotal).inc({ message: kind });
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
