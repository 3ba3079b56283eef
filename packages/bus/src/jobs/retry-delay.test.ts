import { expect, test } from 'vitest';
import { retryDelay } from './retry-delay.js';

test('the wait doubles with each delivery, up to sixteen times the first', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 50].map((deliveries) => retryDelay(10, deliveries));
  expect(waits).toEqual([10, 20, 40, 80, 160, 160, 160, 160]);
});
