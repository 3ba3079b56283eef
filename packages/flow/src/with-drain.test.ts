import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { EventQueue } from './event-queue.js';
import { withDrain } from './with-drain.js';

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

test('a reader who waits is told at once, and loses no event', async () => {
  const drain = new AbortController();
  const events = new EventQueue<string>();
  const told = withDrain(events, drain.signal);
  const waiting = told.next();
  drain.abort();
  expect(await waiting).toEqual({ done: false, value: 'drain' });
  events.put('a');
  events.put('b');
  events.end();
  const rest: string[] = [];
  for await (const event of told) rest.push(event);
  expect(rest).toEqual(['a', 'b']);
});

test('a reader who is busy is told before the next event, once', async () => {
  const drain = new AbortController();
  const events = new EventQueue<string>();
  events.put('a');
  events.put('b');
  events.end();
  const all: string[] = [];
  for await (const event of withDrain(events, drain.signal)) {
    all.push(event);
    drain.abort();
  }
  expect(all).toEqual(['a', 'drain', 'b']);
});

test('a stream that begins after the drain began is told first', async () => {
  const events = new EventQueue<string>();
  events.put('a');
  events.end();
  const all: string[] = [];
  for await (const event of withDrain(events, AbortSignal.abort())) all.push(event);
  expect(all).toEqual(['drain', 'a']);
});

test('a failure after the word of the drain reaches the reader', async () => {
  const drain = new AbortController();
  const events = new EventQueue<string>();
  const told = withDrain(events, drain.signal);
  const waiting = told.next();
  drain.abort();
  await waiting;
  events.fail(new Error('it broke'));
  await expect(told.next()).rejects.toThrow('it broke');
});

test.each<[string, (events: EventQueue<string>) => void]>([
  ['ended', (events) => events.end()],
  ['failed', (events) => events.fail(new Error('it broke'))],
])('a stream that %s is held by the signal no more', async (_, finish) => {
  const drain = new AbortController();
  const events = new EventQueue<string>();
  const told = withDrain(events, drain.signal);
  finish(events);
  await told.next().catch(() => undefined);
  expect(listeners(drain.signal)).toBe(0);
});

test('a stream whose reader leaves is held by the signal no more', async () => {
  const drain = new AbortController();
  const events = new EventQueue<string>();
  events.put('a');
  for await (const _ of withDrain(events, drain.signal)) break;
  expect(listeners(drain.signal)).toBe(0);
});
