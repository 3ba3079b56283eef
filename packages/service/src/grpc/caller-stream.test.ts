import { EventQueue } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { callerStream } from './caller-stream.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const pauseMs = 1000;

function listen(options: { idleSinceMs?: () => number } = {}) {
  const sent = new EventQueue<string>();
  const drain = new AbortController();
  const call = new AbortController();
  const heard = callerStream(sent, { pauseMs, signal: call.signal, drain: drain.signal, ...options });
  return { sent, drain, call, heard };
}

/** How a promise stands, without waiting for it. */
async function stateOf(promise: Promise<unknown>): Promise<unknown> {
  return Promise.race([
    promise.catch((reason: unknown) => (reason instanceof TesseraError ? reason.code : reason)),
    vi.advanceTimersByTimeAsync(0).then(() => 'open'),
  ]);
}

test('a caller may pause up to the limit between any two messages, and no longer', async () => {
  const { sent, heard } = listen();
  for (const message of ['a', 'b']) {
    const next = heard.next();
    await vi.advanceTimersByTimeAsync(pauseMs - 1);
    expect(await stateOf(next)).toBe('open');
    sent.put(message);
    expect(await next).toEqual({ done: false, value: message });
  }
  const silent = heard.next();
  silent.catch(() => undefined);
  await vi.advanceTimersByTimeAsync(pauseMs);
  expect(await stateOf(silent)).toBe('REQUEST_STALLED');
});

test('a caller that waits for what it sent does not pause; its pause begins when that is there', async () => {
  let isWaiting = true;
  let idleSinceMs = 0;
  const { heard } = listen({ idleSinceMs: () => (isWaiting ? performance.now() : idleSinceMs) });
  const next = heard.next();
  next.catch(() => undefined);
  await vi.advanceTimersByTimeAsync(5.5 * pauseMs);
  isWaiting = false;
  idleSinceMs = performance.now();
  await vi.advanceTimersByTimeAsync(pauseMs - 1);
  expect(await stateOf(next)).toBe('open');
  await vi.advanceTimersByTimeAsync(2);
  expect(await stateOf(next)).toBe('REQUEST_STALLED');
});

test('a drain ends the wait by its name, and so does the end of the call', async () => {
  const drained = listen();
  const next = drained.heard.next();
  drained.drain.abort(new TesseraError('DRAINING', 'the probe is shutting down'));
  await expect(next).rejects.toMatchObject({ code: 'DRAINING' });

  const cancelled = listen();
  const other = cancelled.heard.next();
  cancelled.call.abort(new TesseraError('CANCELLED', 'the caller left'));
  await expect(other).rejects.toMatchObject({ code: 'CANCELLED' });
});

test('the end of the stream is its end', async () => {
  const { sent, heard } = listen();
  sent.put('a');
  sent.end();
  const all: string[] = [];
  for await (const message of heard) all.push(message);
  expect(all).toEqual(['a']);
});
