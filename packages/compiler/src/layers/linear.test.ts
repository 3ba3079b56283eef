import { type Float32Tensor, tensor } from '@tessera/protocol';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { expect, test } from 'vitest';
import { Module } from '../checkpoint/parameters.js';
import { GraphBuilder } from '../graph/index.js';
import { InventedParameters, runGraph } from '../testing/run-graph.js';
import { linear } from './linear.js';

const source = new InventedParameters(1);

async function reference(x: Float32Array, rows: number, from: number, to: number): Promise<Float32Array> {
  const [weight, bias] = [await source.values('fc.weight', to, from), await source.values('fc.bias', to)];
  return Float32Array.from({ length: rows * to }, (_, i) => {
    const [row, column] = [Math.floor(i / to), i % to];
    let sum = bias[column] as number;
    for (let k = 0; k < from; k++) sum += (x[row * from + k] as number) * (weight[column * from + k] as number);
    return sum;
  });
}

test.each([
  ['float32', 64, 1e-5],
  ['float32', 50, 1e-5],
  ['int8', 64, 0.02],
  // 50 columns are a block of 32 and one that is not full.
  ['int8', 50, 0.02],
  ['int8', 7, 0.02],
  ['int4', 64, 0.15],
  ['int4', 50, 0.15],
  ['int4', 7, 0.15],
  ['float16', 50, 1e-3],
  // The first block of 128 is full, the second not; of 4 bits, zero points of an odd number of blocks fill a byte by half.
  ...(['int8-g128', 'int8-zp', 'int8-g128-zp'] as const).flatMap((kind) =>
    [50, 150, 300].map((n) => [kind, n, 0.02] as const),
  ),
  ...(['int4-g128', 'int4-zp', 'int4-g128-zp'] as const).flatMap((kind) =>
    [50, 150, 300].map((n) => [kind, n, 0.15] as const),
  ),
] as const)('%s with %i columns', async (precision, from, tolerance) => {
  const [rows, to] = [5, 24];
  const g = new GraphBuilder('linear', precision);
  const x = g.input('x', 'float32', ['rows', from]);
  g.output('y', linear(x, new Module(source).at('fc'), { from, to, bias: true }), 'float32', ['rows', to]);
  const values = Float32Array.from({ length: rows * from }, (_, i) => Math.cos(i * 0.9));
  const feeds = [
    { x: tensor('float32', [rows, from], values) },
    { x: tensor('float32', [1, from], values.slice(2 * from, 3 * from)) },
    { x: tensor('float32', [0, from], new Float32Array(0)) },
  ];
  const [all, third, none] = (await runGraph(g, 'y', feeds)) as [Float32Tensor, Float32Tensor, Float32Tensor];
  const error = relativeErrors(all.data, await reference(values, rows, from, to));
  expect(error.max).toBeLessThan(tolerance);
  if (precision !== 'float32') expect(error.max).toBeGreaterThan(1e-5);
  expect(relativeErrors(third.data, all.data.slice(2 * to, 3 * to)).max).toBeLessThan(1e-6);
  expect(none.shape).toEqual([0, to]);
});
