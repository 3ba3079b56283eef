import { durationMs, RequestState, type Span, Stage, Work } from '@tessera/protocol';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { nextStates, RequestLifecycle } from './request-lifecycle.js';

const { RECEIVING, QUEUED, PREFILLING, DECODING, GENERATING, DONE, FAILED, CANCELLED } = RequestState;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

function newLifecycle(): RequestLifecycle {
  return new RequestLifecycle(() => undefined);
}

/** What a span is of, and from when to when, in milliseconds. */
function timed({ what, start, duration }: Span) {
  const startMs = durationMs(start);
  return [what?.value, startMs, startMs + durationMs(duration)];
}

test('each state that was left is a span of the gateway, one after the other', () => {
  const lifecycle = newLifecycle();
  vi.advanceTimersByTime(30);
  lifecycle.enter(QUEUED);
  vi.advanceTimersByTime(200);
  lifecycle.enter(PREFILLING);
  vi.advanceTimersByTime(7);
  expect(lifecycle.spans.map(timed)).toEqual([
    [RECEIVING, 0, 30],
    [QUEUED, 30, 230],
  ]);
  expect(new Set(lifecycle.spans.map(({ stage }) => stage))).toEqual(new Set([Stage.GATEWAY]));
  expect(lifecycle.nowMs()).toBe(237);
});

test('what a stage measured lies where its clock says that it ended, the wait before the work', () => {
  const lifecycle = newLifecycle();
  const endedAtMs = Date.now() + 1000;
  vi.advanceTimersByTime(1500);
  lifecycle.addStageWork(
    Stage.ENCODER,
    Work.ENCODE,
    { queueMs: 200, busyMs: 300, endedAtMs },
    { media: 1, segment: 2 },
  );
  expect(lifecycle.spans.map(timed)).toEqual([
    [Work.QUEUE, 500, 700],
    [Work.ENCODE, 700, 1000],
  ]);
  for (const span of lifecycle.spans) expect(span).toMatchObject({ stage: Stage.ENCODER, media: 1, segment: 2 });
});

test('nothing begins before the request was accepted, whatever the clock of a stage says, and each lasts as long as it did', () => {
  const lifecycle = newLifecycle();
  const times = { queueMs: 200, busyMs: 300, endedAtMs: Date.now() - 5000 };
  lifecycle.addStageWork(Stage.GENERATOR, Work.DENOISE, times, {});
  expect(lifecycle.spans.map(timed)).toEqual([
    [Work.QUEUE, 0, 200],
    [Work.DENOISE, 0, 300],
  ]);
});

test('a listener hears each state with the one before', () => {
  const heard: [entered: RequestState, left: RequestState][] = [];
  const lifecycle = new RequestLifecycle((...change) => heard.push(change));
  for (const state of [QUEUED, PREFILLING, DECODING, GENERATING, DONE]) lifecycle.enter(state);
  expect(heard).toEqual([
    [RECEIVING, RequestState.UNSPECIFIED],
    [QUEUED, RECEIVING],
    [PREFILLING, QUEUED],
    [DECODING, PREFILLING],
    [GENERATING, DECODING],
    [DONE, GENERATING],
  ]);
});

test.each([DONE, FAILED, CANCELLED])('after %d comes nothing', (state) => {
  expect(nextStates(state)).toEqual([]);
  const lifecycle = newLifecycle();
  for (const before of state === DONE ? [QUEUED, PREFILLING] : []) lifecycle.enter(before);
  expect(lifecycle.ended).toBe(false);
  lifecycle.enter(state);
  expect(lifecycle.ended).toBe(true);
  expect(() => lifecycle.enter(QUEUED)).toThrow(/a request cannot go from \w+ to queued/);
});
