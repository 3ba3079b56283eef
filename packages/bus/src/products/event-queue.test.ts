import { expect, test } from 'vitest';
import { EventQueue } from './event-queue.js';

function queueOf(signal: AbortSignal = new AbortController().signal) {
  const ends = { count: 0 };
  const queue = new EventQueue<number>(signal, () => ends.count++);
  return { queue, ends };
}

async function all(queue: EventQueue<number>): Promise<number[]> {
  const events: number[] = [];
  for await (const event of queue) events.push(event);
  return events;
}

test('the reader gets in order what was pushed before it came and while it waits, then the error', async () => {
  const { queue, ends } = queueOf();
  queue.push(1);
  queue.push(2);
  const reader = queue[Symbol.asyncIterator]();
  expect([await reader.next(), await reader.next()].map(({ value }) => value)).toEqual([1, 2]);
  const third = reader.next();
  queue.push(3);
  queue.push(4);
  expect((await third).value).toBe(3);
  queue.fail(new Error('away'));
  queue.fail(new Error('told once'));
  queue.push(5);
  expect(ends.count).toBe(1);
  expect((await reader.next()).value).toBe(4);
  await expect(reader.next()).rejects.toThrow('away');
  expect(ends.count).toBe(1);
});

test('a reader that waits is told of an error', async () => {
  const { queue } = queueOf();
  const waiting = queue[Symbol.asyncIterator]().next();
  await Promise.resolve();
  queue.fail(new Error('away'));
  await expect(waiting).rejects.toThrow('away');
});

test('an abort ends a reader that waits, and one that has not read all', async () => {
  for (const pushed of [[], [1, 2]]) {
    const controller = new AbortController();
    const { queue, ends } = queueOf(controller.signal);
    const reading = pushed.length === 0 ? all(queue) : undefined;
    await Promise.resolve();
    for (const event of pushed) queue.push(event);
    controller.abort();
    queue.push(3);
    expect(await (reading ?? all(queue))).toEqual([]);
    expect(ends.count).toBe(1);
  }
});

test('a reader that leaves ends the queue, and nothing is kept of what comes later', async () => {
  const { queue, ends } = queueOf();
  queue.push(1);
  for await (const event of queue) {
    expect(event).toBe(1);
    break;
  }
  queue.push(2);
  expect(ends.count).toBe(1);
  expect(await all(queue)).toEqual([]);
});

test('a queue whose signal is aborted from the start is over, and was never begun', async () => {
  const { queue, ends } = queueOf(AbortSignal.abort());
  queue.push(1);
  expect(await all(queue)).toEqual([]);
  expect(ends.count).toBe(0);
});
