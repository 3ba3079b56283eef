import { expect, test } from 'vitest';
import { narrowToFloat16, widenFloat16 } from './float16.js';

test('every float16 is widened to what IEEE 754 says, and narrowed back to its bits', () => {
  const numbers = Uint16Array.from({ length: 65536 }, (_, bits) => bits).filter((bits) => (bits & 0x7fff) <= 0x7c00);
  const values = widenFloat16(numbers);
  expect(narrowToFloat16(values)).toEqual(numbers);
  const widened = (bits: number) => values[numbers.indexOf(bits)];
  expect([0x0000, 0x8000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0xc000, 0x7bff, 0xfc00].map(widened)).toEqual([
    0,
    -0,
    2 ** -24,
    1023 * 2 ** -24,
    2 ** -14,
    1,
    -2,
    65504,
    Number.NEGATIVE_INFINITY,
  ]);
  expect([...widenFloat16(Uint16Array.of(0x7c01, 0xfe00))]).toEqual([Number.NaN, Number.NaN]);
});

test('what lies between two is rounded to the nearer, and half-way to the even one', () => {
  const unit = 2 ** -10;
  const values = [
    1 + 0.49 * unit,
    1 + 0.5 * unit,
    1 + 0.51 * unit,
    1 + 1.5 * unit,
    65519,
    65520,
    2 ** -25,
    2 ** -24 * 1.5,
  ];
  expect([...widenFloat16(narrowToFloat16(Float32Array.from(values)))]).toEqual([
    1,
    1,
    1 + unit,
    1 + 2 * unit,
    65504,
    Number.POSITIVE_INFINITY,
    0,
    2 ** -23,
  ]);
  expect([...narrowToFloat16(Float32Array.of(Number.NaN))]).toEqual([0x7e00]);
});
