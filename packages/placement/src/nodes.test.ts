import { expect, test } from 'vitest';
import { readNodes } from './nodes.js';
import { readRoutingCounts, syntheticCounts } from './routing-counts.js';

test('nodes in short, and as JSON', () => {
  expect(readNodes('2x24Gi,80G')).toEqual([
    { name: 'node-0', memoryBytes: 24 * 2 ** 30, speed: 1 },
    { name: 'node-1', memoryBytes: 24 * 2 ** 30, speed: 1 },
    { name: 'node-2', memoryBytes: 80e9, speed: 1 },
  ]);
  const json = JSON.stringify([
    { name: 'gpu', count: 2, memory: '1.5Ti', speed: 4 },
    { name: 'cpu', memory: 4096 },
  ]);
  expect(readNodes(json)).toEqual([
    { name: 'gpu-0', memoryBytes: 1.5 * 2 ** 40, speed: 4 },
    { name: 'gpu-1', memoryBytes: 1.5 * 2 ** 40, speed: 4 },
    { name: 'cpu', memoryBytes: 4096, speed: 1 },
  ]);
});

test.each([
  ['', 'is not like 2x24Gi'],
  ['2y24Gi', 'no memory such as 24Gi'],
  ['0x', 'is not like 2x24Gi'],
  ['2x0Gi', 'no memory'],
  ['[{"name":"a","memory":"24Gi","spede":1}]', 'spede'],
  ['[{"name":"a b","memory":"24Gi"}]', '1 to 48 letters'],
  ['[{"name":"a","memory":"24Gi"},{"name":"a","memory":"24Gi"}]', 'a is there twice'],
  ['[{"name"', 'not JSON'],
  ['9999x1Gi', 'at most 4096'],
])('%j is refused', (text, why) => {
  expect(() => readNodes(text)).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(why) }),
  );
});

test('routing counts are read, and made in want of recorded ones', () => {
  expect(readRoutingCounts('{"layers":[[1,2],[3,4]]}')).toEqual([
    [1, 2],
    [3, 4],
  ]);
  for (const text of ['{"layers":[[-1]]}', '{"layers":[]}', '[]', 'x']) {
    expect(() => readRoutingCounts(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  }
  const shape = { layers: [0, 2], perLayer: 8, expertBytes: 1 };
  const counts = syntheticCounts(shape, 1, 3);
  expect(counts).toEqual(syntheticCounts(shape, 1, 3));
  expect(counts).not.toEqual(syntheticCounts(shape, 1, 4));
  const [first] = counts;
  expect(Math.max(...(first ?? [])) / (first ?? []).reduce((sum, count) => sum + count, 0)).toBeCloseTo(0.368, 2);
});
