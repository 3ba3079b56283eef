import { expect, test } from 'vitest';
import { blockSize, quantizeBlocks, quantizeChannels } from './quantize.js';

const wave = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7) * (1 + (i % 5)));

const zeroOf = { 4: 8, 8: 128 } as const;

/** What a runtime makes of a row of blocks: see MatMulNBits. */
function restored(values: Uint8Array, scales: Float32Array, bits: 4 | 8): Float32Array {
  const at = (i: number): number => {
    if (bits === 8) return values[i] as number;
    return i % 2 === 0 ? (values[i >> 1] as number) & 15 : (values[i >> 1] as number) >> 4;
  };
  const zero = zeroOf[bits];
  return Float32Array.from({ length: scales.length * blockSize }, (_, i) => {
    return (at(i) - zero) * (scales[Math.floor(i / blockSize)] as number);
  });
}

test.each([8, 4] as const)(
  'blocks of %i bits: every weight within half a step, the last block filled with zeros',
  (bits) => {
    const [rows, columns] = [3, 50];
    const source = wave(rows * columns);
    const { values, scales } = quantizeBlocks(source, rows, columns, bits);
    expect(values).toHaveLength((rows * 2 * blockSize * bits) / 8);
    const stored = restored(values, scales, bits);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < 2 * blockSize; column++) {
        const step = Math.abs(scales[row * 2 + Math.floor(column / blockSize)] as number);
        const wanted = column < columns ? (source[row * columns + column] as number) : 0;
        // Of 4 bits, one end of the range is 8 steps away and the other 7: what lies beyond is a whole step off at most.
        const allowed = bits === 4 && Math.abs(wanted) > 7.5 * step ? 1 : 0.5;
        expect(Math.abs((stored[row * 2 * blockSize + column] as number) - wanted)).toBeLessThanOrEqual(
          step * allowed * 1.001,
        );
      }
    }
  },
);

test.each([1, -1])('of 4 bits, the weight of the largest magnitude is exact, whatever its sign: %i', (sign) => {
  const source = new Float32Array(blockSize).fill(0.1 * sign);
  source[5] = 2 * sign;
  source[6] = -2 * sign;
  const { values, scales } = quantizeBlocks(source, 1, blockSize, 4);
  const stored = restored(values, scales, 4);
  expect(stored[5]).toBe(2 * sign);
  expect(stored[6]).toBe(-1.75 * sign);
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
  expect([...quantizeBlocks(new Float32Array(32), 1, 32, 8).values]).toEqual(new Array(32).fill(128));
  expect([...quantizeBlocks(new Float32Array(32), 1, 32, 4).values]).toEqual(new Array(16).fill(0x88));
  expect([...quantizeChannels(new Float32Array(4), 2).values]).toEqual([0, 0, 0, 0]);
});
