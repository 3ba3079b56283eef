import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { HandlerDeadline } from './handler-deadline.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** The code that a handler of a call with this much time is told when its caller leaves after a while. */
function toldTo(timeMs: number, leavesAfterMs: number): unknown {
  const leaving = new AbortController();
  using deadline = new HandlerDeadline(Date.now() + timeMs, leaving.signal);
  vi.advanceTimersByTime(leavesAfterMs);
  leaving.abort();
  return deadline.signal.reason?.code;
}

test.each([
  [60_000, 57_900, 'CANCELLED'],
  // A machine under load saw the call two seconds after its caller began to count.
  [60_000, 58_000, 'DEADLINE_EXCEEDED'],
  [2_000, 999, 'CANCELLED'],
  [2_000, 1_000, 'DEADLINE_EXCEEDED'],
  [300, 0, 'DEADLINE_EXCEEDED'],
  [Number.POSITIVE_INFINITY, 1e9, 'CANCELLED'],
])('of a call with %d ms, one that leaves after %d ms ends with %s', (timeMs, leavesAfterMs, code) => {
  expect(toldTo(timeMs, leavesAfterMs)).toBe(code);
});

test('the deadline itself interrupts what is waited for', async () => {
  using deadline = new HandlerDeadline(Date.now() + 10, new AbortController().signal);
  const waiting = deadline.unlessPassed(new Promise<never>(() => {}));
  vi.advanceTimersByTime(10);
  await expect(waiting).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  await expect(deadline.unlessPassed(Promise.resolve(1))).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
});
