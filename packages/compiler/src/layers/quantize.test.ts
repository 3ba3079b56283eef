import { expect, test } from 'vitest';
import { blockSize, quantizeBlocks, quantizeChannels } from './quantize.js';

const wave = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7) * (1 + (i % 5)));

test('blocks: every weight within half a step of its own block, the last block filled with zeros', () => {
  const [rows, columns] = [3, 50];
  const source = wave(rows * columns);
  const { values, scales } = quantizeBlocks(source, rows, columns);
  expect(values).toHaveLength(rows * 2 * blockSize);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < 2 * blockSize; column++) {
      const scale = scales[row * 2 + Math.floor(column / blockSize)] as number;
      const stored = ((values[row * 2 * blockSize + column] as number) - 128) * scale;
      const wanted = column < columns ? (source[row * columns + column] as number) : 0;
      expect(Math.abs(stored - wanted)).toBeLessThanOrEqual(scale * 0.5001);
    }
  }
});

test('channels: each has a scale of its own', () => {
  const source = wave(24).map((value, i) => (i < 12 ? value : value * 1000));
  const { values, scales } = quantizeChannels(source, 2);
  for (const [i, value] of source.entries()) {
    const scale = scales[i < 12 ? 0 : 1] as number;
    expect(Math.abs((values[i] as number) * scale - value)).toBeLessThanOrEqual(scale * 0.5001);
  }
});

test('weights that are all zero stay zero', () => {
  expect([...quantizeBlocks(new Float32Array(32), 1, 32).values]).toEqual(new Array(32).fill(128));
  expect([...quantizeChannels(new Float32Array(4), 2).values]).toEqual([0, 0, 0, 0]);
});
