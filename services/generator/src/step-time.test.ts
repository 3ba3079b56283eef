import { expect, test } from 'vitest';
import { StepTime } from './step-time.js';

test('nothing is expected before the first step', () => {
  expect(new StepTime().expectedMs(20, 1, 0)).toBe(0);
  expect(new StepTime().leastMsOf(20)).toBe(0);
});

test('steps take as long as the last ones in the same company; when those are long ago, as the fastest', () => {
  const time = new StepTime();
  time.took(100, 1, 1000);
  for (let n = 0; n < 40; n++) time.took(300, 4, 1000 + n);
  expect(time.expectedMs(10, 4, 2000)).toBe(3000);
  expect(time.expectedMs(10, 1, 2000)).toBe(1000);
  expect(time.expectedMs(10, 2, 2000)).toBe(1000);
  expect(time.expectedMs(10, 4, 10_000)).toBe(1000);
  time.took(200, 4, 10_000);
  expect(time.expectedMs(10, 4, 10_000)).toBe(2000);
  expect(time.leastMsOf(10)).toBe(1000);
});

test('they follow a machine that becomes slower', () => {
  const time = new StepTime();
  for (let n = 0; n < 10; n++) time.took(100, 2, n);
  for (let n = 0; n < 40; n++) time.took(300, 2, 100 + n);
  expect(time.expectedMs(10, 2, 200)).toBeGreaterThan(2900);
});
