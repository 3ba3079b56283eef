import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { type Bundle, readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { smallLlamaBundle } from '@tessera/compiler/testing/small-llama';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { allLayers, defaultKvBytes, kvBudget, type ModelShare, memoryLimit, pieceOfModel } from './kv-budget.js';

let bundle: Bundle;
beforeAll(async () => {
  bundle = await readBundle(await demoBundleDir());
});
afterEach(() => vi.restoreAllMocks());

/** Keys and values, six layers, two heads of 64, four bytes. */
const rowBytes = 2 * 6 * 2 * 64 * 4;
const GiB = 2 ** 30;

test('memory is what the container allows, or what the machine has', () => {
  const constrained = vi.spyOn(process, 'constrainedMemory');
  constrained.mockReturnValue(GiB);
  expect(memoryLimit()).toBe(GiB);
  // No limit is told as zero, or as a number beyond all machines.
  for (const none of [0, 2 ** 64]) {
    constrained.mockReturnValue(none);
    expect(memoryLimit()).toBe(totalmem());
  }
});

test('by default the cache gets half of what the weights leave', () => {
  expect(defaultKvBytes(64 * GiB, 28 * GiB)).toBe(18 * GiB);
  expect(defaultKvBytes(16 * GiB, 28 * GiB)).toBe(0);
  vi.spyOn(process, 'constrainedMemory').mockReturnValue(36 * 2 ** 20);
  // The weights of the demo model's llm are some 34 MiB: what they leave holds fewer tokens than its context has.
  const { bytes, contextTokens } = kvBudget(bundle, undefined);
  const weights = bundle.manifest.files['llm.onnx.data']?.bytes ?? 0;
  expect(bytes).toBeLessThanOrEqual((36 * 2 ** 20 - weights) / 2);
  expect(contextTokens).toBe(Math.floor(bytes / rowBytes));
  expect(contextTokens).toBeLessThan(2048);
});

test('where experts are placed, only the weights that are here count', async () => {
  const cut = await readBundle(await demoBundleDir('float32', 'experts'), ['llm']);
  const { expertBytes = 0, layers = [], perLayer = 0 } = cut.manifest.llm.experts ?? {};
  const { text_config } = JSON.parse(readFileSync(join(demoModelDir, 'config.json'), 'utf8'));
  // Three matrices of float32.
  expect(expertBytes).toBe(3 * text_config.hidden_size * text_config.moe_intermediate_size * 4);
  const count = layers.length * perLayer;
  const weightBytes = (held?: number) => allLayers(cut, held).weightBytes;
  expect(weightBytes(count)).toBe(weightBytes());
  expect(weightBytes(5) - weightBytes(4)).toBe(expertBytes);
  expect(weightBytes(0)).toBeGreaterThan(0);
  vi.spyOn(process, 'constrainedMemory').mockReturnValue(36 * 2 ** 20);
  expect(kvBudget(cut, undefined, { share: allLayers(cut, 0) }).bytes).toBe(
    kvBudget(cut, undefined).bytes + (count * expertBytes) / 2,
  );
});

test('a sequence is as long as the context, or as the bytes hold; too few are refused with the figures', () => {
  expect(kvBudget(bundle, GiB)).toEqual({ bytes: GiB, contextTokens: 2048 });
  expect(kvBudget(bundle, 100 * rowBytes + 1)).toMatchObject({ contextTokens: 100 });
  expect(() => kvBudget(bundle, rowBytes)).toThrow(/kv\.maxBytes is 6144, but one token of this model takes 6144/);
  vi.spyOn(process, 'constrainedMemory').mockReturnValue(2 ** 20);
  expect(() => kvBudget(bundle, undefined)).toThrow(/of 1048576 bytes of memory the weights take \d+/);
});

test('a cache of float16 holds twice as many tokens in the same memory', async () => {
  const half = await readBundle(await demoBundleDir('float32', undefined, 'float16'));
  expect(kvBudget(half, 100 * rowBytes)).toMatchObject({ contextTokens: 200 });
  expect(() => kvBudget(half, rowBytes / 2)).toThrow(/kv\.maxBytes is 3072, but one token of this model takes 3072/);
});

test('a process that has one piece of the layers counts the weights and the cache of that piece', async () => {
  const cut = await smallLlamaBundle('layers=3');
  const shares = [0, 1, 2].map((piece) => pieceOfModel(cut, piece));
  expect(shares.map(({ layers }) => layers)).toEqual([1, 2, 2]);
  // All pieces together are the whole; each has tables of positions of its own, and a graph.
  const sum = shares.reduce((total, { weightBytes }) => total + weightBytes, 0);
  const whole = allLayers(cut).weightBytes;
  expect(Math.abs(sum - whole) / whole).toBeLessThan(0.1);
  // Two heads of 16 numbers, keys and values, of each layer.
  const row = 2 * 2 * 16 * 4;
  const share = shares[1] as ModelShare;
  expect(kvBudget(cut, 100 * 2 * row, { share }).contextTokens).toBe(100);
  expect(kvBudget(cut, 100 * 2 * row, { share, maxPositions: 40 })).toEqual({ bytes: 40 * 2 * row, contextTokens: 40 });
  expect(() => kvBudget(cut, 100 * 2 * row, { share, maxPositions: 1 })).toThrow(/shards have room for 1 positions/);
});
