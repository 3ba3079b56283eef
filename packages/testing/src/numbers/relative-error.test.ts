import { expect, test } from 'vitest';
import { relativeError, relativeErrors } from './relative-error.js';

test('the largest difference counts by the largest value, and all of them by the norm', () => {
  const { max, l2 } = relativeErrors(Float32Array.of(0, 1, -4), Float32Array.of(0, 0, -4));
  expect(max).toBe(0.25);
  expect(l2).toBe(0.25);
});

test('a NaN is no small error, and other shapes have nothing to do with each other', () => {
  expect(relativeErrors(Float32Array.of(1, Number.NaN), Float32Array.of(1, 1)).max).toBeNaN();
  const data = Float32Array.of(1, 2);
  expect(relativeError({ shape: [2], data }, { shape: [2, 1], data })).toBe(Number.POSITIVE_INFINITY);
  expect(relativeError({ shape: [2], data }, { shape: [2], data })).toBe(0);
  expect(() => relativeErrors(data, Float32Array.of(1))).toThrow('2 values, not 1');
});
