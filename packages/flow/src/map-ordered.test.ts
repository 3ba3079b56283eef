import { expect, test } from 'vitest';
import { mapOrdered } from './map-ordered.js';

const never = new AbortController().signal;

/** Promises that the test settles, one for each item. */
function hand() {
  const calls: {
    item: number;
    resolve: (value: string) => void;
    reject: (reason: Error) => void;
    signal: AbortSignal;
  }[] = [];
  const work = (item: number, signal: AbortSignal) =>
    new Promise<string>((resolve, reject) => {
      calls.push({ item, resolve, reject, signal });
    });
  return { calls, work };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('keeps the order, and reads the source no further than the limit', async () => {
  const { calls, work } = hand();
  const results: string[] = [];
  const done = (async () => {
    for await (const result of mapOrdered([1, 2, 3, 4], 2, never, work)) results.push(result);
  })();
  await turn();
  expect(calls.map(({ item }) => item)).toEqual([1, 2]);
  calls[1]?.resolve('two');
  await turn();
  expect(results).toEqual([]);
  calls[0]?.resolve('one');
  await turn();
  expect(results).toEqual(['one', 'two']);
  expect(calls.map(({ item }) => item)).toEqual([1, 2, 3, 4]);
  calls[2]?.resolve('three');
  calls[3]?.resolve('four');
  await done;
  expect(results).toEqual(['one', 'two', 'three', 'four']);
});

test('a failure comes after the results before it, and stops the rest', async () => {
  const { calls, work } = hand();
  const results: string[] = [];
  const done = (async () => {
    for await (const result of mapOrdered([1, 2, 3, 4], 3, never, work)) results.push(result);
  })();
  await turn();
  calls[1]?.reject(new Error('two is bad'));
  calls[0]?.resolve('one');
  await expect(done).rejects.toThrow('two is bad');
  expect(results).toEqual(['one']);
  expect(calls[2]?.signal.aborted).toBe(true);
});

test('a failing source fails the mapping after the results before it', async () => {
  async function* source() {
    yield 1;
    throw new Error('the source broke');
  }
  const results: number[] = [];
  const mapped = mapOrdered(source(), 4, never, async (item) => item);
  await expect(
    (async () => {
      for await (const result of mapped) results.push(result);
    })(),
  ).rejects.toThrow('the source broke');
  expect(results).toEqual([1]);
});

test('the work hears of the caller leaving and of the signal', async () => {
  const { calls, work } = hand();
  const controller = new AbortController();
  const mapped = mapOrdered([1, 2], 2, controller.signal, work);
  const first = mapped.next();
  await turn();
  calls[0]?.resolve('one');
  await first;
  expect(calls[1]?.signal.aborted).toBe(false);
  await mapped.return(undefined);
  expect(calls[1]?.signal.aborted).toBe(true);

  const other = hand();
  const cancelled = mapOrdered([1], 1, controller.signal, other.work);
  const result = cancelled.next();
  await turn();
  controller.abort(new Error('cancelled'));
  expect(other.calls[0]?.signal.reason).toMatchObject({ message: 'cancelled' });
  other.calls[0]?.reject(new Error('stopped'));
  await expect(result).rejects.toThrow('stopped');
});
