import { expect, test } from 'vitest';
import { sigmas } from './sigmas.js';

test('are evenly spaced from noise to picture without a shift', () => {
  expect(sigmas(4, 1)).toEqual([1, 0.75, 0.5, 0.25, 0]);
});

test('a shift keeps the ends and spends more steps near the noise', () => {
  expect(sigmas(2, 3)).toEqual([1, 0.75, 0]);
});
