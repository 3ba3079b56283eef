import { encodeQueue } from '@tessera/protocol';
import { Metrics } from '@tessera/service';
import { expect, test } from 'vitest';
import { countWork } from './count-work.js';
import { countedBy } from './testing/counted-by.js';

test('jobs are counted by their end, their time in seconds, and what was for nothing by its reason', async () => {
  const metrics = new Metrics();
  const observer = countWork(metrics, encodeQueue);
  observer.jobStalled?.('encode');
  for (const outcome of ['done', 'retried', 'failed', 'cancelled', 'late', 'exhausted'] as const) {
    observer.jobEnded?.('encode', outcome, { queueMs: 2000, busyMs: 500 });
  }
  expect(await countedBy(metrics)).toEqual({
    'tessera_jobs_stalled_total{kind="encode"}': 1,
    'tessera_jobs_total{kind="encode",outcome="done"}': 1,
    'tessera_jobs_total{kind="encode",outcome="retried"}': 1,
    'tessera_jobs_total{kind="encode",outcome="failed"}': 1,
    'tessera_jobs_total{kind="encode",outcome="cancelled"}': 1,
    'tessera_jobs_total{kind="encode",outcome="late"}': 1,
    'tessera_jobs_total{kind="encode",outcome="exhausted"}': 1,
    'tessera_queue_seconds_count{kind="encode"}': 6,
    'tessera_queue_seconds_sum{kind="encode"}': 12,
    'tessera_job_seconds_count{kind="encode"}': 6,
    'tessera_job_seconds_sum{kind="encode"}': 3,
    'tessera_wasted_seconds_total{stage="encoder",reason="failed"}': 1.5,
    'tessera_wasted_seconds_total{stage="encoder",reason="cancelled"}': 0.5,
    'tessera_wasted_seconds_total{stage="encoder",reason="late"}': 0.5,
  });
});

test('who takes no jobs counts what it sends and receives', async () => {
  const metrics = new Metrics();
  const observer = countWork(metrics, undefined);
  observer.published?.('encode', 10);
  observer.published?.('encode', 5);
  observer.received?.('visual_tokens', 7);
  observer.jobEnded?.('encode', 'done', { queueMs: 1, busyMs: 1 });
  expect(await countedBy(metrics)).toEqual({
    'tessera_bytes_total{kind="encode",direction="out"}': 15,
    'tessera_bytes_total{kind="visual_tokens",direction="in"}': 7,
  });
});
