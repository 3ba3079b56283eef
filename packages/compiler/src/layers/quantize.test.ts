import { expect, test } from 'vitest';
import type { Blocks } from '../checkpoint/parameters.js';
import { quantizeBlocks, quantizeChannels, type RoundedLayout } from './quantize.js';

const wave = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7) * (1 + (i % 5)) + (i % 7) / 5);

/** The n-th of values that are packed from a byte on, the first one low. */
function unpacked(packed: Uint8Array, bits: 4 | 8, n: number): number {
  if (bits === 8) return packed[n] as number;
  return n % 2 === 0 ? (packed[n >> 1] as number) & 15 : (packed[n >> 1] as number) >> 4;
}

/** What a runtime makes of a row of `blocks` blocks: see MatMulNBits. */
function restored(
  { values, scales, zeroPoints }: Blocks,
  layout: RoundedLayout,
  blocks: number,
  row: number,
): number[] {
  const { bits, blockSize } = layout;
  const rowBytes = (blocks * blockSize * bits) / 8;
  const zeroBytes = Math.ceil((blocks * bits) / 8);
  const own = values.subarray(row * rowBytes);
  return Array.from({ length: blocks * blockSize }, (_, i) => {
    const block = Math.floor(i / blockSize);
    const zero = zeroPoints
      ? unpacked((zeroPoints as Uint8Array).subarray(row * zeroBytes), bits, block)
      : 1 << (bits - 1);
    return (unpacked(own, bits, i) - zero) * (scales[row * blocks + block] as number);
  });
}

const layouts = ([4, 8] as const).flatMap((bits) =>
  ([32, 128] as const).flatMap((blockSize) =>
    (['none', 'uint8'] as const).map((zeroPoints): RoundedLayout => ({ bits, blockSize, zeroPoints })),
  ),
);

test.each(layouts)('every weight within half a step, the last block filled with zeros: %o', (layout) => {
  const { bits, blockSize, zeroPoints } = layout;
  // Three blocks, of which the last has a weight too few to fill a byte of two.
  const [rows, columns, blocks] = [3, 2 * blockSize + 17, 3];
  const source = wave(rows * columns);
  const rounded = quantizeBlocks(source, rows, columns, layout);
  expect(rounded.values).toHaveLength((rows * blocks * blockSize * bits) / 8);
  expect(rounded.zeroPoints?.length).toBe(zeroPoints === 'none' ? undefined : rows * Math.ceil((blocks * bits) / 8));
  for (let row = 0; row < rows; row++) {
    const stored = restored(rounded, layout, blocks, row);
    for (let column = 0; column < blocks * blockSize; column++) {
      const step = Math.abs(rounded.scales[row * blocks + Math.floor(column / blockSize)] as number);
      const wanted = column < columns ? (source[row * columns + column] as number) : 0;
      // Of 4 bits, one end of the range is 8 steps away and the other 7: what lies beyond is a whole step off at most.
      const beyond = bits === 4 && zeroPoints === 'none' && Math.abs(wanted) > 7.5 * step;
      expect(Math.abs((stored[column] as number) - wanted)).toBeLessThanOrEqual(step * (beyond ? 1 : 0.5) * 1.001);
    }
  }
});

test.each(layouts)('rows one by one give what all at once do: %o', (layout) => {
  for (const columns of [layout.blockSize + 6, 2 * layout.blockSize]) expectRowsAlone(4, columns, layout);
});

function expectRowsAlone(rows: number, columns: number, layout: RoundedLayout): void {
  const source = wave(rows * columns);
  const whole = quantizeBlocks(source, rows, columns, layout);
  const each = Array.from({ length: rows }, (_, row) =>
    quantizeBlocks(source.subarray(row * columns, (row + 1) * columns), 1, columns, layout),
  );
  expect(each.flatMap(({ values }) => [...values])).toEqual([...whole.values]);
  expect(each.flatMap(({ scales }) => [...scales])).toEqual([...whole.scales]);
  expect(each.flatMap(({ zeroPoints = [] }) => [...zeroPoints])).toEqual([...(whole.zeroPoints ?? [])]);
}

test.each([1, -1])('of 4 bits, the weight of the largest magnitude is exact, whatever its sign: %i', (sign) => {
  const source = new Float32Array(32).fill(0.1 * sign);
  source[5] = 2 * sign;
  source[6] = -2 * sign;
  const layout: RoundedLayout = { bits: 4, blockSize: 32, zeroPoints: 'none' };
  const stored = restored(quantizeBlocks(source, 1, 32, layout), layout, 1, 0);
  expect(stored[5]).toBe(2 * sign);
  expect(stored[6]).toBe(-1.75 * sign);
});

test('with zero points weights of one sign have the whole range', () => {
  const source = Float32Array.from({ length: 32 }, (_, i) => 3 + i / 31);
  const error = (zeroPoints: 'none' | 'uint8'): number => {
    const layout: RoundedLayout = { bits: 4, blockSize: 32, zeroPoints };
    const stored = restored(quantizeBlocks(source, 1, 32, layout), layout, 1, 0);
    return Math.max(...stored.map((value, i) => Math.abs(value - (source[i] as number))));
  };
  expect(error('uint8')).toBeLessThan(0.6 * error('none'));
});

test('channels: each has a scale of its own', () => {
  const source = wave(24).map((value, i) => (i < 12 ? value : value * 1000));
  const { values, scales } = quantizeChannels(source, 2);
  for (const [i, value] of source.entries()) {
    const scale = scales[i < 12 ? 0 : 1] as number;
    expect(Math.abs((values[i] as number) * scale - value)).toBeLessThanOrEqual(scale * 0.5001);
  }
});

test.each(layouts)('weights that are all zero stay zero: %o', (layout) => {
  const blocks = quantizeBlocks(new Float32Array(256), 2, 128, layout);
  for (const row of [0, 1])
    expect(restored(blocks, layout, 128 / layout.blockSize, row)).toEqual(new Array(128).fill(0));
  expect([...quantizeChannels(new Float32Array(4), 2).values]).toEqual([0, 0, 0, 0]);
});
