import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Float32Tensor, tensor } from '@tessera/protocol';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Module } from '../checkpoint/parameters.js';
import { parameterValue } from '../layers/parameter-value.js';
import { InventedParameters, runGraph } from '../testing/run-graph.js';
import { add, mul } from './arithmetic.js';
import { GraphBuilder } from './graph-builder.js';
import { weightBytes, writeGraph } from './write-graph.js';

let dir = '';

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tessera-builder-'));
});

afterEach(() => rm(dir, { recursive: true, force: true }));

test('scopes name nodes and weights; a weight or constant asked for twice is one', () => {
  const g = new GraphBuilder('names', 'float32');
  const x = g.input('x', 'float32', ['n', 4]);
  const module = new Module(new InventedParameters(1)).at('block');
  const [first, second] = [1, 2].map((layer) =>
    g.scope(`layers.${layer}`, () => g.scope('mlp', () => add(mul(x, parameterValue(g, module, 'scale', [4])), 1))),
  );
  expect(first?.name).toBe('layers.1/mlp/Add');
  expect(second?.name).toBe('layers.2/mlp/Add');
  expect(add(x, 1).name).toBe('Add');
  expect(add(x, 1).name).toBe('Add_1');
  expect(g.weights.flatMap(({ tensors }) => tensors.map(({ value }) => value.name))).toEqual([
    'block.scale',
    'constant',
  ]);
});

test('an output may be a computed value, an input, or the same value twice', async () => {
  const g = new GraphBuilder('outputs', 'float32');
  const x = g.input('x', 'float32', ['n']);
  const doubled = mul(x, 2);
  g.output('doubled', doubled, 'float32', ['n']);
  g.output('again', doubled, 'float32', ['n']);
  g.output('same', x, 'float32', ['n']);
  const feeds = [{ x: tensor('float32', [2], Float32Array.of(1, 2)) }];
  for (const [name, values] of Object.entries({ doubled: [2, 4], again: [2, 4], same: [1, 2] })) {
    const [result] = (await runGraph(g, name, feeds)) as [Float32Tensor];
    expect([...result.data]).toEqual(values);
  }
});

test('weights are written on page boundaries, and a cancelled writing stops', async () => {
  const g = new GraphBuilder('weights', 'float32');
  const x = g.input('x', 'float32', ['n', 400]);
  const module = new Module(new InventedParameters(1));
  g.output(
    'y',
    ['a', 'b'].reduce((sum, name) => add(sum, parameterValue(g, module, name, [400])), x),
    'float32',
    ['n', 400],
  );
  let written = 0;
  await writeGraph(g, join(dir, 'g.onnx'), { onWritten: (bytes) => (written += bytes) });
  expect(written).toBe(weightBytes(g));
  const data = await readFile(join(dir, 'g.onnx.data'));
  expect(data).toHaveLength(4096 + 1600);
  const b = await new InventedParameters(1).values('b', 400);
  expect(data.subarray(4096)).toEqual(Buffer.from(b.buffer));
  await expect(writeGraph(g, join(dir, 'h.onnx'), { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
});
