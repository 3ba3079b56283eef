import { TesseraError } from '@tessera/protocol';
import { ClientError, Status } from 'nice-grpc-common';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type CallTimes, callOpener } from './open-call.js';

const nowMs = 1_800_000_000_000;
beforeEach(() => {
  vi.useFakeTimers({ now: nowMs });
});
afterEach(() => {
  vi.useRealTimers();
});

const open = callOpener('127.0.0.1:7000', 5000);

test.each<[what: string, times: CallTimes, leftMs: number]>([
  ['says nothing', {}, 5000],
  ['says how long', { timeoutMs: 7000 }, 7000],
  ['says until when, though that is later than the default', { deadlineMs: nowMs + 60_000 }, 60_000],
  ['says both: the earlier one counts', { deadlineMs: nowMs + 300, timeoutMs: 7000 }, 300],
  ['says both, the other way round', { deadlineMs: nowMs + 7000, timeoutMs: 300 }, 300],
  ['waits longer than gRPC can say', { deadlineMs: nowMs + 1e12 }, 99_999_999],
  ['has no end', { deadlineMs: Number.POSITIVE_INFINITY }, 99_999_999],
])('a call that %s has its deadline, and tells it', (_what, times, leftMs) => {
  using call = open('/a/B', times);
  expect(call.headers).toEqual([['grpc-timeout', `${leftMs}m`]]);
  vi.advanceTimersByTime(leftMs - 1);
  expect(call.signal.aborted).toBe(false);
  vi.advanceTimersByTime(1);
  expect(call.signal.reason).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
});

test('what is left is told in whole milliseconds, and not as nothing while there is some', () => {
  using call = open('/a/B', { deadlineMs: nowMs + 0.2 });
  expect(call.headers).toEqual([['grpc-timeout', '1m']]);
});

test('a call that its caller ends fails for his reason, whatever gRPC says of it', () => {
  const caller = new AbortController();
  using call = open('/a/B', { signal: caller.signal });
  const reason = new TesseraError('CANCELLED', 'enough');
  caller.abort(reason);
  expect(call.signal.aborted).toBe(true);
  expect(call.failed(new ClientError('/a/B', Status.UNAVAILABLE, 'gone'))).toBe(reason);
});

test("a call that fails by itself fails with the server's error; what is none of gRPC's is a fault", () => {
  using call = open('/a/B', {});
  expect(call.failed(new ClientError('/a/B', Status.UNAVAILABLE, 'gone'))).toMatchObject({
    code: 'STAGE_UNAVAILABLE',
    message: expect.stringContaining('127.0.0.1:7000'),
  });
  expect(call.failed(new Error('a slip'))).toMatchObject({ code: 'INTERNAL' });
});

test('a call that is over leaves no timer, and does not hear its caller leave', () => {
  const caller = new AbortController();
  const call = open('/a/B', { signal: caller.signal });
  call[Symbol.dispose]();
  expect(vi.getTimerCount()).toBe(0);
  caller.abort();
  expect(call.signal.aborted).toBe(false);
});
