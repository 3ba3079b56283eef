import { TesseraError } from '@tessera/protocol';
import { deferred } from '@tessera/testing/async/deferred';
import { expect, test } from 'vitest';
import { Batcher, type BatcherOptions } from './batcher.js';

const never = new AbortController().signal;

/** A batcher of numbers whose batches wait until the test lets them go. */
function gated(options: Partial<BatcherOptions<number, number>> = {}) {
  const batches: number[][] = [];
  const { promise: gate, resolve: open } = deferred();
  const batcher = new Batcher<number, number>({
    what: 'numbers',
    maxBatch: 4,
    waitMs: 0,
    maxWaiting: 8,
    key: () => '',
    run: async (items) => {
      batches.push([...items]);
      await gate;
      return items.map((item) => item * 10);
    },
    ...options,
  });
  return { batcher, batches, open };
}

test('what arrives while a batch runs becomes the next batch, oldest first', async () => {
  const { batcher, batches, open } = gated();
  const results = [1, 2, 3, 4, 5, 6].map((item) => batcher.submit(item, never));
  expect(batches).toEqual([[1]]);
  open();
  expect((await Promise.all(results)).map(({ result }) => result)).toEqual([10, 20, 30, 40, 50, 60]);
  expect(batches).toEqual([[1], [2, 3, 4, 5], [6]]);
});

test('the first item waits for others, and a full batch does not wait', async () => {
  const { batcher, batches, open } = gated({ waitMs: 60_000 });
  open();
  const results = [1, 2, 3].map((item) => batcher.submit(item, never));
  expect(batches).toEqual([]);
  results.push(batcher.submit(4, never));
  for (const { batchSize } of await Promise.all(results)) expect(batchSize).toBe(4);
  expect(batches).toEqual([[1, 2, 3, 4]]);
});

test('an announced item is waited for, and one that is alone does not wait', async () => {
  const { batcher, batches, open } = gated({ waitMs: 60_000 });
  open();
  expect((await batcher.submit(1, never)).batchSize).toBe(1);
  const coming = batcher.announce();
  const waiting = batcher.submit(2, never);
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(batches).toEqual([[1]]);
  coming[Symbol.dispose]();
  const announced = batcher.submit(3, never);
  expect([(await waiting).batchSize, (await announced).batchSize]).toEqual([2, 2]);
});

test('an announced item that does not come holds nobody back, whether its maker says so or not', async () => {
  const { batcher, open } = gated({ waitMs: 60_000 });
  open();
  const coming = batcher.announce();
  const waiting = batcher.submit(1, never);
  coming[Symbol.dispose]();
  coming[Symbol.dispose]();
  expect((await waiting).batchSize).toBe(1);
  const other = gated({ waitMs: 5 });
  other.open();
  using _never = other.batcher.announce();
  expect((await other.batcher.submit(1, never)).batchSize).toBe(1);
});

test('a batch that is not full starts after the wait', async () => {
  const { batcher, open } = gated({ waitMs: 5 });
  open();
  using _coming = batcher.announce();
  const [one, two] = await Promise.all([batcher.submit(1, never), batcher.submit(2, never)]);
  expect([one.batchSize, two.batchSize]).toEqual([2, 2]);
});

test('items of different keys do not share a batch', async () => {
  const { batcher, batches, open } = gated({ key: (item) => (item % 2 ? 'odd' : 'even') });
  const results = [1, 2, 3, 4, 5].map((item) => batcher.submit(item, never));
  open();
  await Promise.all(results);
  expect(batches).toEqual([[1], [2, 4], [3, 5]]);
});

test('a full queue refuses with a delay, and what was admitted is done', async () => {
  const { batcher, open } = gated({ maxWaiting: 2 });
  const admitted = [1, 2, 3].map((item) => batcher.submit(item, never));
  await expect(batcher.submit(4, never)).rejects.toMatchObject({
    code: 'QUEUE_FULL',
    message: '2 numbers are waiting, which is the limit',
    options: { retryAfterMs: expect.any(Number) },
  });
  open();
  expect((await Promise.all(admitted)).map(({ result }) => result)).toEqual([10, 20, 30]);
});

test('a cancelled item leaves before its batch runs, a running one gets its error at once', async () => {
  const { batcher, batches, open } = gated();
  const running = new AbortController();
  const waiting = new AbortController();
  const first = batcher.submit(1, running.signal);
  const second = batcher.submit(2, waiting.signal);
  const third = batcher.submit(3, never);
  waiting.abort();
  await expect(second).rejects.toMatchObject({ code: 'CANCELLED' });
  running.abort(new TesseraError('DEADLINE_EXCEEDED', 'too late'));
  await expect(first).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  open();
  expect((await third).result).toBe(30);
  expect(batches).toEqual([[1], [3]]);
  await expect(batcher.submit(4, AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELLED' });
});

test('the error of a batch reaches each of its items, and the next batch runs', async () => {
  let broken = true;
  const { batcher } = gated({
    waitMs: 1,
    run: async (items) => {
      if (broken) throw new TesseraError('STAGE_UNAVAILABLE', 'the thread ended');
      return items.map(() => 0);
    },
  });
  for (const result of await Promise.allSettled([batcher.submit(1, never), batcher.submit(2, never)])) {
    expect(result).toMatchObject({ status: 'rejected', reason: { code: 'STAGE_UNAVAILABLE' } });
  }
  broken = false;
  expect((await batcher.submit(3, never)).result).toBe(0);
});

test('closing runs what waits without delay and refuses what comes later', async () => {
  const { batcher, batches, open } = gated({ waitMs: 60_000 });
  open();
  const waiting = batcher.submit(1, never);
  const closed = batcher.close();
  await expect(batcher.submit(2, never)).rejects.toMatchObject({ code: 'DRAINING' });
  expect((await waiting).result).toBe(10);
  await closed;
  expect(batches).toEqual([[1]]);
});

test('closing waits for every batch that is left, not only for the next', async () => {
  const { batcher, batches, open } = gated({ maxBatch: 1 });
  const results = [1, 2, 3, 4].map((item) => batcher.submit(item, never));
  let closed = false;
  const closing = batcher.close().then(() => {
    closed = true;
  });
  const closedAt = results.map((result) => result.then(() => closed));
  open();
  expect(await Promise.all(closedAt)).toEqual([false, false, false, false]);
  await closing;
  expect(batches).toEqual([[1], [2], [3], [4]]);
});
