import { type Bundle, modelInfo } from '@tessera/bundle';
import { smallLlamaBundle } from '@tessera/compiler/testing/small-llama';
import { createBoundSession } from '@tessera/inference';
import { LayerPlan, LayerStart } from '@tessera/protocol';
import { Metrics } from '@tessera/service';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { LayerMetrics } from '../layer-metrics.js';
import { LayerShard } from './layer-shard.js';

let bundle: Bundle;

beforeAll(async () => {
  bundle = await smallLlamaBundle('layers=3');
});

/** A shard of piece 1 with room for 1000 positions. */
async function openShard(): Promise<LayerShard> {
  const piece = bundle.layerPieces.pieces[1] as { graph: string; layers: number };
  const session = await createBoundSession(bundle.file(piece.graph), { threads: 1, device: 'cpu', runs: 'in-pool' });
  // Keys and values of two heads of 16 numbers, in float32.
  const kvBytes = 1000 * piece.layers * 2 * 2 * 16 * 4;
  const shard = new LayerShard({ bundle, session, piece: 1, kvBytes, stallMs: 60_000 });
  onTestFinished(() => shard.release());
  return shard;
}

const start = (positions: bigint): LayerStart =>
  LayerStart.fromPartial({
    revision: modelInfo(bundle.manifest).revision,
    piece: 1,
    slots: 4,
    maxPositions: 128,
    positions,
  });

test('whoever listens is told of each engine that comes or goes, and of the end, until it has heard enough', async () => {
  const shard = await openShard();
  const told: [free: number, draining: boolean][] = [];
  const stop = shard.onChange(() => {
    const { freePositions, draining } = shard.holdings;
    told.push([Number(freePositions), draining]);
  });
  const cache = shard.open(start(400n));
  shard.drain();
  await cache.close();
  // A stream may close twice.
  await cache.close();
  stop();
  shard.open(start(100n));
  expect(told).toEqual([
    [600, false],
    [600, true],
    [1000, true],
  ]);
});

test('it is idle once the last engine is gone', async () => {
  const shard = await openShard();
  await shard.idle();
  const caches = [shard.open(start(100n)), shard.open(start(200n))];
  let isIdle = false;
  const idle = shard.idle().then(() => {
    isIdle = true;
  });
  await caches[0]?.close();
  expect(isIdle).toBe(false);
  await caches[1]?.close();
  await idle;
  expect(isIdle).toBe(true);
});

test('its metrics tell what its cache may take and takes, and the positions that it computed', async () => {
  const shard = await openShard();
  const metrics = new Metrics();
  const meter = new LayerMetrics(metrics).follow(shard);
  onTestFinished(() => meter.stop());
  const value = async (name: string) => (await metrics.registry.getSingleMetric(name)?.get())?.values[0]?.value;
  expect(await value('tessera_kv_cache_limit_bytes')).toBe(1000 * shard.positionBytes);
  expect(await value('tessera_kv_cache_bytes')).toBe(0);
  const cache = shard.open(start(400n));
  await cache.plan(LayerPlan.fromPartial({ step: 1, slots: 2, positions: 64 }));
  const width = bundle.manifest.llm.hiddenSize;
  await cache.compute(
    [
      { slot: 0, position: 0, count: 3 },
      { slot: 1, position: 0, count: 2 },
    ],
    new Float32Array(5 * width),
  );
  await cache.compute([{ slot: 0, position: 3, count: 1 }], new Float32Array(width));
  expect(await value('tessera_layer_shard_positions_total')).toBe(6);
  expect(await value('tessera_kv_cache_bytes')).toBeGreaterThanOrEqual(2 * 64 * shard.positionBytes);
  await cache.close();
  expect(await value('tessera_kv_cache_bytes')).toBe(0);
});
