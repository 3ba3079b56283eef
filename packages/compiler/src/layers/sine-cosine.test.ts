import { type Float32Tensor, tensor } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { add, GraphBuilder } from '../graph/index.js';
import { runGraph } from '../testing/run-graph.js';
import { gridEmbedding, timestepEmbedding } from './sine-cosine.js';

/** From 1 down, as many to each power of ten thousand. */
const frequency = (index: number, count: number): number => 1 / 10_000 ** (index / count);

function expectClose(actual: Float32Array, expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  // Of a time of hundreds, float32 is off by some 1e-5.
  for (const [i, value] of expected.entries())
    expect(Math.abs((actual[i] as number) - value), `${i}`).toBeLessThan(1e-4);
}

test('a time is its cosines at each frequency, then its sines', async () => {
  const g = new GraphBuilder('time', 'float32');
  const t = g.input('t', 'float32', ['batch']);
  g.output('y', timestepEmbedding(t, 8), 'float32', ['batch', 8]);
  const times = [0, 1, 2.5, 750];
  const [y] = (await runGraph(g, 'y', [{ t: tensor('float32', [4], Float32Array.from(times)) }])) as [Float32Tensor];
  expect(y.shape).toEqual([4, 8]);
  const expected = times.flatMap((time) => {
    const angles = [0, 1, 2, 3].map((index) => time * frequency(index, 4));
    return [...angles.map(Math.cos), ...angles.map(Math.sin)];
  });
  expectClose(y.data, expected);
});

test('a place in a grid is its column and its row, each as sines and cosines, in steps that are shorter by the scale', async () => {
  const g = new GraphBuilder('grid', 'float32');
  const x = g.input('x', 'float32', ['batch', 6, 8]);
  g.output('y', add(x, gridEmbedding(g, { rows: 2, columns: 3, width: 8, scale: 2 })), 'float32', ['batch', 6, 8]);
  const [y] = (await runGraph(g, 'y', [{ x: tensor('float32', [1, 6, 8], new Float32Array(48)) }])) as [Float32Tensor];
  const expected = Array.from({ length: 6 }, (_, i) => [i % 3, Math.floor(i / 3)]).flatMap((place) =>
    place.flatMap((steps) => {
      const angles = [0, 1].map((index) => (steps / 2) * frequency(index, 2));
      return [...angles.map(Math.sin), ...angles.map(Math.cos)];
    }),
  );
  expectClose(y.data, expected);
});
