import { Metrics } from '@tessera/service';
import { expect, test } from 'vitest';
import { ExpertMetrics } from './expert-metrics.js';
import { PoolStats } from './pool-stats.js';

test('what happened at the experts is told once, each figure by its name', async () => {
  const metrics = new Metrics();
  const expertMetrics = new ExpertMetrics(metrics);
  const stats = new PoolStats();
  const report = (calls: number) =>
    expertMetrics.report({ ...stats.take(), running: [{ group: 'warm', calls }], calls: [] });
  const values = async (name: string) =>
    (await metrics.registry.getSingleMetric(name)?.get())?.values.map(({ labels, value }) => ({ ...labels, value }));
  const figures = async () => ({
    rows: await values('tessera_expert_rows_total'),
    calls: (await values('tessera_expert_call_seconds'))?.slice(-2).map(({ value }) => value),
    running: await values('tessera_expert_calls_running'),
    failovers: await values('tessera_expert_failovers_total'),
    hedges: await values('tessera_expert_hedges_total'),
    unavailable: await values('tessera_expert_unavailable_rows_total'),
    missing: await values('tessera_experts_missing'),
  });

  stats.routed(2, 5, 3);
  stats.routed(2, 5, 1);
  stats.routed(0, 0, 7);
  for (const seconds of [0.5, 0.25]) stats.called(seconds);
  stats.failovers += 2;
  stats.hedges += 3;
  stats.unavailable(11);
  report(4);
  expertMetrics.noteMissing({ count: 6, example: { layer: 2, expert: 5 } });
  const rows = [
    { layer: '2', expert: '5', value: 4 },
    { layer: '0', expert: '0', value: 7 },
  ];
  const first = {
    rows,
    calls: [0.75, 2],
    running: [{ group: 'warm', value: 4 }],
    failovers: [{ value: 2 }],
    hedges: [{ value: 3 }],
    unavailable: [{ value: 11 }],
    missing: [{ value: 6 }],
  };
  expect(await figures()).toEqual(first);

  report(0);
  expertMetrics.noteMissing({ count: 0, example: undefined });
  expect(await figures()).toEqual({ ...first, running: [{ group: 'warm', value: 0 }], missing: [{ value: 0 }] });
});
