import { TesseraError } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { RetryPolicy } from './retry-policy.js';

const full = new TesseraError('QUEUE_FULL', 'full');
const fullFor = (retryAfterMs: number) => new TesseraError('QUEUE_FULL', 'full', { retryAfterMs });
const day = 86_400_000;

test('what is not retryable is not tried again', () => {
  expect(new RetryPolicy().pauseMs(new TesseraError('MEDIA_EMPTY', 'empty'), 1, day)).toBeUndefined();
  expect(new RetryPolicy().pauseMs(new TesseraError('CANCELLED', 'left'), 1, day)).toBeUndefined();
});

test('attempts are bounded', () => {
  const policy = new RetryPolicy({ maxAttempts: 3 });
  expect([1, 2, 3].map((attempt) => policy.pauseMs(full, attempt, day) !== undefined)).toEqual([true, true, false]);
  expect(new RetryPolicy({ maxAttempts: 1 }).pauseMs(full, 1, day)).toBeUndefined();
});

test('pauses double up to the longest, less up to half at random', () => {
  const pauses = (random: number) => {
    const policy = new RetryPolicy({ maxAttempts: 9, firstPauseMs: 100, maxPauseMs: 1000 }, () => random);
    return [1, 2, 3, 4, 5, 6].map((attempt) => policy.pauseMs(full, attempt, day));
  };
  expect(pauses(0)).toEqual([100, 200, 400, 800, 1000, 1000]);
  expect(pauses(0.5)).toEqual([75, 150, 300, 600, 750, 750]);
});

test('what the server asks for is waited for, and never less', () => {
  expect(new RetryPolicy({}, () => 0).pauseMs(fullFor(1500), 3, day)).toBe(1500);
  expect(new RetryPolicy({}, () => 0.5).pauseMs(fullFor(1500), 1, day)).toBeCloseTo(1650);
});

test('a pause over the longest, or over the deadline, is not waited for', () => {
  expect(new RetryPolicy({ maxPauseMs: 1000 }).pauseMs(fullFor(1001), 1, day)).toBeUndefined();
  expect(new RetryPolicy({ maxPauseMs: 1000 }, () => 0).pauseMs(fullFor(1000), 1, day)).toBe(1000);
  expect(new RetryPolicy({}, () => 0).pauseMs(fullFor(1000), 1, 1000)).toBeUndefined();
  expect(new RetryPolicy({}, () => 0).pauseMs(fullFor(1000), 1, 1001)).toBe(1000);
});
