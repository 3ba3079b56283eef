import { deferred } from '@tessera/testing/async/deferred';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Progress } from './progress.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

const pass = (ms: number) => vi.advanceTimersByTime(ms);

test('the time in which anything was computed counts once, up to now', async () => {
  const progress = new Progress(1000);
  pass(500);
  expect(progress.busyMs).toBe(0);
  const [one, two] = [deferred(), deferred()];
  const first = progress.watch(() => one.promise);
  pass(100);
  expect(progress.busyMs).toBe(100);
  const second = progress.watch(() => two.promise);
  pass(100);
  one.resolve();
  await first;
  pass(100);
  expect(progress.busyMs).toBe(300);
  two.resolve();
  await second;
  pass(5000);
  expect(progress.busyMs).toBe(300);
  await progress.watch(async () => pass(50));
  expect(progress.busyMs).toBe(350);
});

test('it stalls where what is computed takes as long as it may, counted from when its turn came', async () => {
  const progress = new Progress(1000);
  pass(5000);
  expect(progress.isStalled).toBe(false);
  const [one, two] = [deferred(), deferred()];
  const first = progress.watch(() => one.promise);
  pass(900);
  const second = progress.watch(async () => {
    await two.promise;
    throw new Error('out of memory');
  });
  one.resolve();
  await first;
  pass(999);
  expect(progress.isStalled).toBe(false);
  pass(1);
  expect(progress.isStalled).toBe(true);
  // What fails has come to an end as well.
  two.resolve();
  await expect(second).rejects.toThrow('out of memory');
  expect(progress.isStalled).toBe(false);
  expect(progress.busyMs).toBe(1900);
});
