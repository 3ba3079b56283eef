import type { DeclaredQueue } from '@tessera/protocol';
import { counterMetric, histogramMetric, type Metrics, wastedSecondsTotal } from '@tessera/service';
import type { BusObserver } from './bus-options.js';
import type { JobOutcome } from './jobs/job-outcome.js';

const bytesTotal = counterMetric('tessera_bytes_total', {
  unit: 'bytes',
  help: 'Bytes of messages on NATS, by what they are (jobs, tensors, drawings) and by direction: in or out.',
  labels: ['kind', 'direction'],
  from: 'every service',
});

const jobsTotal = counterMetric('tessera_jobs_total', {
  unit: 'count',
  help: 'Deliveries that were settled: done, retried, failed, cancelled, late (its deadline passed) or exhausted (delivered too often).',
  labels: ['kind', 'outcome'],
  from: 'encoder, connector, generator',
});

const jobsStalledTotal = counterMetric('tessera_jobs_stalled_total', {
  unit: 'count',
  help: 'Jobs that were taken from a handler that gave no sign of progress.',
  labels: ['kind'],
  from: 'encoder, connector, generator',
});

const queueSeconds = histogramMetric('tessera_queue_seconds', {
  unit: 'seconds',
  help: 'Time that a job waited in its queue.',
  labels: ['kind'],
  from: 'encoder, connector, generator',
});

const jobSeconds = histogramMetric('tessera_job_seconds', {
  unit: 'seconds',
  help: 'Time from taking a job to settling it.',
  labels: ['kind'],
  from: 'encoder, connector, generator',
});

/** Why work was for nothing, by how its delivery ended. One that is done was for something. */
const wasteReasons: Readonly<Partial<Record<JobOutcome, 'cancelled' | 'late' | 'failed'>>> = {
  cancelled: 'cancelled',
  late: 'late',
  failed: 'failed',
  exhausted: 'failed',
  retried: 'failed',
};

/** Counts what is published, and the jobs of the queue that this service takes from; the bus itself counts the rest. */
export function countWork(metrics: Metrics, queue: DeclaredQueue | undefined): BusObserver {
  const bytes = metrics.counter(bytesTotal);
  const traffic: BusObserver = {
    published: (stream, count) => bytes.inc({ kind: stream, direction: 'out' }, count),
    received: (stream, count) => bytes.inc({ kind: stream, direction: 'in' }, count),
  };
  if (queue === undefined) return traffic;
  const { name: kind, worker: stage } = queue;
  const jobs = metrics.counter(jobsTotal);
  const stalled = metrics.counter(jobsStalledTotal);
  const queued = metrics.histogram(queueSeconds);
  const worked = metrics.histogram(jobSeconds);
  const wasted = metrics.counter(wastedSecondsTotal);
  return {
    ...traffic,
    jobStalled: () => stalled.inc({ kind }),
    jobEnded: (_kind, outcome, { queueMs, busyMs }) => {
      jobs.inc({ kind, outcome });
      queued.observe({ kind }, queueMs / 1000);
      worked.observe({ kind }, busyMs / 1000);
      const reason = wasteReasons[outcome];
      if (reason !== undefined) wasted.inc({ stage, reason }, busyMs / 1000);
    },
  };
}
