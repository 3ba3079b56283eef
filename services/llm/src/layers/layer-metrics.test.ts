import { Metrics } from '@tessera/service';
import { expect, test } from 'vitest';
import { LayerMetrics } from './layer-metrics.js';

test('what happened at the layer shards is told, each figure by its name', async () => {
  const metrics = new Metrics();
  const layerMetrics = new LayerMetrics(metrics);
  const values = async (name: string) =>
    (await metrics.registry.getSingleMetric(name)?.get())?.values.map(({ labels, value }) => ({ ...labels, value }));
  const running = [
    { piece: 1, calls: 3 },
    { piece: 2, calls: 1 },
  ];
  layerMetrics.report({ calls: [], callSeconds: [0.5, 0.25], running });
  layerMetrics.noteMissing({ count: 2, inWords: 'two pieces' });
  // The sum, and how many there are.
  expect((await values('tessera_layer_call_seconds'))?.slice(-2).map(({ value }) => value)).toEqual([0.75, 2]);
  expect(await values('tessera_layer_calls_running')).toEqual([
    { piece: '1', value: 3 },
    { piece: '2', value: 1 },
  ]);
  expect(await values('tessera_layer_pieces_missing')).toEqual([{ value: 2 }]);
  layerMetrics.noteMissing({ count: 0, inWords: '' });
  expect(await values('tessera_layer_pieces_missing')).toEqual([{ value: 0 }]);
});

test('who looks has the engine tell what is under way first', async () => {
  const metrics = new Metrics();
  const layerMetrics = new LayerMetrics(metrics);
  let calls = 0;
  layerMetrics.reportAtScrape(async () => {
    layerMetrics.report({ calls: [], callSeconds: [], running: [{ piece: 1, calls: ++calls }] });
  });
  for (const expected of [1, 2]) {
    expect(await metrics.registry.metrics()).toContain(`tessera_layer_calls_running{piece="1"} ${expected}\n`);
  }
});
