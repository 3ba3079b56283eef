import { expect, test } from 'vitest';
import { CallLatency } from './call-latency.js';

test('slow is what takes longer than 99 of 100 calls of its size, once enough are known', () => {
  const latency = new CallLatency();
  for (let n = 1; n < 64; n++) latency.add(8, n);
  expect(latency.slowAfterMs(8)).toBeUndefined();
  for (let n = 0; n < 10; n++) for (let ms = 1; ms <= 100; ms++) latency.add(8, ms);
  expect(latency.slowAfterMs(8)).toBeGreaterThanOrEqual(98);
  expect(latency.slowAfterMs(5)).toBe(latency.slowAfterMs(8));
  expect(latency.slowAfterMs(9)).toBeUndefined();
  // Old calls are forgotten; and what is quick is never slow.
  for (let n = 0; n < 600; n++) latency.add(8, 0.1);
  expect(latency.slowAfterMs(8)).toBe(2);
});
