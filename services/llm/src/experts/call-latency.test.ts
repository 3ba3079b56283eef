import { expect, test } from 'vitest';
import { CallLatency } from './call-latency.js';

test('slow is what takes longer than 99 of 100 calls of its size, once enough are known', () => {
  const latency = new CallLatency();
  for (let ms = 64; ms > 1; ms--) latency.add(8, ms);
  expect(latency.slowAfterMs(8)).toBeUndefined();
  latency.add(8, 1);
  expect(latency.slowAfterMs(8)).toBe(64);
  // In an order that is none; it remembers 512.
  for (let n = 0; n < 512; n++) latency.add(8, 1 + ((n * 171) % 512));
  expect(latency.slowAfterMs(8)).toBe(507);
  expect(latency.slowAfterMs(5)).toBe(latency.slowAfterMs(8));
  expect(latency.slowAfterMs(9)).toBeUndefined();
  // Old calls are forgotten; and what is quick is never slow.
  for (let n = 0; n < 600; n++) latency.add(8, 0.1);
  expect(latency.slowAfterMs(8)).toBe(2);
});
