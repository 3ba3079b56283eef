import { expect, test } from 'vitest';
import { StepTime } from './step-time.js';

test('nothing is expected before the first step', () => {
  expect(new StepTime().expectedMs(20, 0)).toBe(0);
});

test('steps take as long as the last ones; when those are long ago, as the fastest', () => {
  const time = new StepTime();
  time.took(100, 1000);
  for (let n = 0; n < 40; n++) time.took(300, 1000 + n);
  expect(time.expectedMs(10, 2000)).toBeGreaterThan(2900);
  expect(time.expectedMs(10, 10_000)).toBe(1000);
  time.took(200, 10_000);
  expect(time.expectedMs(10, 10_000)).toBe(2000);
});
