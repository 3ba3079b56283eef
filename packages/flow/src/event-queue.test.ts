import { collect } from '@tessera/testing/async/collect';
import { expect, test, vi } from 'vitest';
import { EventQueue } from './event-queue.js';

test('events come in order, those put before and those put while the reader waits', async () => {
  const queue = new EventQueue<number>();
  queue.put(1);
  queue.put(2);
  const seen = collect(queue);
  await Promise.resolve();
  queue.put(3);
  await new Promise(setImmediate);
  queue.put(4);
  queue.end();
  queue.put(5);
  expect(await seen).toEqual([1, 2, 3, 4]);
});

test('neighbours that are not fetched are joined, and no others', async () => {
  const join = (last: string, next: string) => (last[0] === next[0] ? last + next.slice(1) : undefined);
  const queue = new EventQueue<string>({ join });
  const first = queue.next();
  queue.put('a1');
  expect(await first).toEqual({ done: false, value: 'a1' });
  for (const event of ['a2', 'a3', 'b1', 'a4', 'a5']) queue.put(event);
  queue.end();
  expect(await collect(queue)).toEqual(['a23', 'b1', 'a45']);
});

test('what may pass its neighbours is joined to its like before them, and passes nothing else', async () => {
  const join = (last: string, next: string) => (last[0] === next[0] ? last + next.slice(1) : undefined);
  const passes = (last: string, next: string) => last !== 'stop' && next !== 'stop';
  const queue = new EventQueue<string>({ join, passes });
  for (const event of ['a1', 'b1', 'c1', 'a2', 'c2', 'b2', 'stop', 'a3', 'b3', 'a4']) queue.put(event);
  queue.end();
  expect(await collect(queue)).toEqual(['a12', 'b12', 'c12', 'stop', 'a34', 'b3']);
});

test('an error comes after what was put before it, once', async () => {
  const queue = new EventQueue<number>();
  queue.put(1);
  queue.fail(new Error('broken'));
  queue.fail(new Error('late'));
  expect(await queue.next()).toEqual({ done: false, value: 1 });
  await expect(queue.next()).rejects.toThrow('broken');
  expect(await queue.next()).toMatchObject({ done: true });
});

test('an error reaches a reader that waits', async () => {
  const queue = new EventQueue<number>();
  const next = queue.next();
  queue.fail(new Error('broken'));
  await expect(next).rejects.toThrow('broken');
  expect(await queue.next()).toMatchObject({ done: true });
});

test('a reader that leaves is told of, and one that reads to the end is not', async () => {
  const onAbandoned = vi.fn();
  const left = new EventQueue<number>({ onAbandoned });
  left.put(1);
  for await (const _ of left) break;
  expect(onAbandoned).toHaveBeenCalledTimes(1);
  expect(await left.next()).toMatchObject({ done: true });
  const read = new EventQueue<number>({ onAbandoned });
  read.end();
  await collect(read);
  expect(onAbandoned).toHaveBeenCalledTimes(1);
});

test('writers wait while more is unread than may be, until it is fetched or nobody reads', async () => {
  const queue = new EventQueue<number>({ most: 2 });
  expect(queue.room()).toBeUndefined();
  queue.put(1);
  queue.put(2);
  let hasRoom = false;
  void queue.room()?.then(() => {
    hasRoom = true;
  });
  await new Promise(setImmediate);
  expect(hasRoom).toBe(false);
  await queue.next();
  await new Promise(setImmediate);
  expect(hasRoom).toBe(true);
  queue.put(3);
  const waiting = queue.room();
  expect(waiting).toBeDefined();
  await queue.return();
  await waiting;
});

test('an abort ends a reader that waits, and one that has not read all, as if it had left', async () => {
  for (const unread of [[], [1, 2]]) {
    const onAbandoned = vi.fn();
    const controller = new AbortController();
    const queue = new EventQueue<number>({ signal: controller.signal, onAbandoned });
    const reading = unread.length === 0 ? collect(queue) : undefined;
    for (const event of unread) queue.put(event);
    controller.abort();
    expect(queue.put(3)).toBe(false);
    expect(await (reading ?? collect(queue))).toEqual([]);
    expect(onAbandoned).toHaveBeenCalledTimes(1);
  }
});

test('an abort after the end changes nothing', async () => {
  const onAbandoned = vi.fn();
  const controller = new AbortController();
  const queue = new EventQueue<number>({ signal: controller.signal, onAbandoned });
  queue.put(1);
  queue.fail(new Error('away'));
  controller.abort();
  expect(await queue.next()).toEqual({ done: false, value: 1 });
  await expect(queue.next()).rejects.toThrow('away');
  expect(onAbandoned).not.toHaveBeenCalled();
});

test('a queue whose signal is aborted from the start is over, and was never begun', async () => {
  const onAbandoned = vi.fn();
  const queue = new EventQueue<number>({ signal: AbortSignal.abort(), onAbandoned });
  expect(queue.put(1)).toBe(false);
  expect(await collect(queue)).toEqual([]);
  expect(onAbandoned).not.toHaveBeenCalled();
});
