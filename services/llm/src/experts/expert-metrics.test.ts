import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { ExpertBatch, encodeTensor } from '@tessera/protocol';
import { Metrics } from '@tessera/service';
import { deferred } from '@tessera/testing/async/deferred';
import { eventually } from '@tessera/testing/async/eventually';
import { expect, onTestFinished, test } from 'vitest';
import { oneThread } from '../testing/expert-shards.js';
import { ExpertMetrics } from './expert-metrics.js';
import { parsePlacement } from './placement.js';
import { PoolStats } from './pool-stats.js';
import { ExpertShard } from './shard/expert-shard.js';

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

test('a shard tells how many experts it holds now, also when a placement changes that, and how many rows it computed', async () => {
  const bundle = await readBundle(await demoBundleDir('float32', 'experts'), ['llm']);
  const placement = (epoch: number, layers: readonly number[], experts: readonly number[]) =>
    parsePlacement(
      {
        revision: bundle.manifest.revision,
        epoch,
        groups: { a: [{ layers, experts }], rest: [{ layers: 'all', experts: 'all' }] },
      },
      bundle,
    );
  const shard = new ExpertShard(bundle, oneThread, 'a');
  onTestFinished(() => shard.release());
  await shard.take(placement(1, [0, 1], [0, 1, 2]));
  const metrics = new Metrics();
  const meter = new ExpertMetrics(metrics).follow(shard);
  onTestFinished(() => meter.stop());
  const value = async (name: string) => (await metrics.registry.getSingleMetric(name)?.get())?.values[0]?.value;
  expect(await value('tessera_experts_held')).toBe(2 * 3);

  // What it takes away goes when nobody uses it any more.
  const unused = deferred<void>();
  await shard.take(placement(2, [0, 1], [1, 2, 3, 4]), () => unused.promise);
  expect(await value('tessera_experts_held')).toBe(2 * 5);
  unused.resolve();
  await eventually(async () => (await value('tessera_experts_held')) === 2 * 4, 'the others are dropped');

  const { hiddenSize } = bundle.manifest.llm;
  const data = new Float32Array(5 * hiddenSize).fill(0.1);
  const rows = encodeTensor({ dtype: 'float32', shape: [5, hiddenSize], data }, 'float32');
  await shard.compute(ExpertBatch.fromPartial({ call: 1, layer: 1, experts: [2, 4], rowCounts: [2, 3], rows }));
  expect(await value('tessera_expert_shard_rows_total')).toBe(5);
});
