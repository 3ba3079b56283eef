import { expect, test } from 'vitest';
import { durationMs, durationOf } from './duration.js';

test.each([
  [0, 0n, 0],
  [1.5, 0n, 1_500_000],
  [0.0004, 0n, 0],
  [999.9999, 0n, 999_999_000],
  [120_000.25, 120n, 250_000],
])('%d ms are %d s and %d ns', (ms, seconds, nanos) => {
  expect(durationOf(ms)).toEqual({ seconds, nanos });
});

test('back to milliseconds; none is none', () => {
  expect(durationMs(durationOf(61_234.567))).toBeCloseTo(61_234.567, 6);
  expect(durationMs(undefined)).toBe(0);
});
