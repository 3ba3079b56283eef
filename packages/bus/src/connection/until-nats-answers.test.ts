import { TesseraError } from '@tessera/protocol';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { untilNatsAnswers } from './until-nats-answers.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Tries that end so, one after the other; when each was made, in milliseconds, and what was said of the wait. */
function trying(waitMs: number, outcome: (attempt: number) => unknown, signal = new AbortController().signal) {
  const beganAt = performance.now();
  const triedAt: number[] = [];
  const said: string[] = [];
  const attempt = async () => {
    triedAt.push(performance.now() - beganAt);
    const result = outcome(triedAt.length);
    if (result instanceof Error) throw result;
    return result;
  };
  const onWaiting = (reason: string): void => void said.push(reason);
  const ended = untilNatsAnswers(attempt, { waitMs, signal, onWaiting }).catch((reason: unknown) => reason);
  return { triedAt, said, ended };
}

const away = (which: number) => new TesseraError('STAGE_UNAVAILABLE', `away ${which}`);

test('it is tried with growing pauses until NATS answers, and said once that it is waited for', async () => {
  const { triedAt, said, ended } = trying(60_000, (attempt) => (attempt <= 7 ? away(attempt) : 'there'));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await ended).toBe('there');
  expect(triedAt).toEqual([0, 100, 350, 850, 1850, 3850, 5850, 7850]);
  expect(said).toEqual(['away 1']);
});

test.each([
  [850, 4],
  [849, 3],
])('with %i ms it is tried %i times, and the last reason is thrown', async (waitMs, tries) => {
  const { triedAt, ended } = trying(waitMs, away);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await ended).toEqual(away(tries));
  expect(triedAt).toHaveLength(tries);
});

test.each([[new TesseraError('CONFIG_INVALID', 'a wrong secret')], [new Error('a mistake')]])(
  'what no waiting helps is thrown at once: %s',
  async (reason) => {
    const { triedAt, said, ended } = trying(60_000, () => reason);
    expect(await ended).toBe(reason);
    expect([triedAt, said]).toEqual([[0], []]);
  },
);

test('one that is told to end waits no more, and does not begin', async () => {
  const [stop, reason] = [new AbortController(), new Error('told to end')];
  const { triedAt, ended } = trying(60_000, away, stop.signal);
  await vi.advanceTimersByTimeAsync(200);
  stop.abort(reason);
  expect(await ended).toBe(reason);
  expect(triedAt).toEqual([0, 100]);
  const late = trying(60_000, away, stop.signal);
  expect(await late.ended).toBe(reason);
  expect(late.triedAt).toEqual([]);
});
