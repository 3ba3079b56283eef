import { expect, test } from 'vitest';
import { GraphBuilder } from '../graph/index.js';
import { rotaryTables } from './rotary-tables.js';

test('a table is made part by part, each number in its place', async () => {
  // Three parts of four megabytes, and a beginning.
  const [positions, frequencies] = [(3 << 18) + 5, [1, 0.5, 0.25, 0.125]];
  const g = new GraphBuilder('tables', 'float32');
  rotaryTables(g, { positions, frequencies, scale: 2 });
  const [group] = g.weights;
  const table = new Float32Array(positions * 4);
  const parts: number[] = [];
  await group?.load(async (_, offset, bytes) => {
    parts.push(bytes.byteLength);
    table.set(new Float32Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength / 4), offset / 4);
  });
  expect(parts).toEqual([2 ** 22, 2 ** 22, 2 ** 22, 5 * 16]);
  for (const position of [0, 1, (1 << 18) - 1, 1 << 18, positions - 1]) {
    const expected = frequencies.map((frequency) => Math.fround(2 * Math.cos(position * frequency)));
    expect([...table.subarray(4 * position, 4 * position + 4)]).toEqual(expected);
  }
});

test('nothing more is made once nobody wants it', async () => {
  const g = new GraphBuilder('tables', 'float32');
  rotaryTables(g, { positions: 2 << 20, frequencies: [1], scale: 1 });
  const [cos] = g.weights;
  const controller = new AbortController();
  const parts: number[] = [];
  const loaded = cos?.load(async (_, offset) => {
    parts.push(offset);
    controller.abort();
  }, controller.signal);
  await expect(loaded).rejects.toThrow(/abort/i);
  expect(parts).toEqual([0]);
});
