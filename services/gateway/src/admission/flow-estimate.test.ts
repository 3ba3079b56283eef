import { expect, test } from 'vitest';
import { FlowEstimate } from './flow-estimate.js';

/** So many answers a second for some seconds, with as many requests under way all the time. */
function flow(estimate: FlowEstimate, perSecond: number, seconds: number, isFull: boolean, fromMs = 0): number {
  let nowMs = fromMs;
  for (let n = 0; n < perSecond * seconds; n++) {
    nowMs += 1000 / perSecond;
    estimate.ended(true, isFull, nowMs);
    estimate.began();
  }
  return nowMs;
}

function withUnderWay(count: number): FlowEstimate {
  const estimate = new FlowEstimate();
  for (let n = 0; n < count; n++) estimate.began();
  return estimate;
}

test('while slots are free nothing is expected to wait, and nothing is learned', () => {
  const estimate = withUnderWay(4);
  const nowMs = flow(estimate, 1, 20, false);
  expect(estimate.expectedMs(false, nowMs)).toBe(0);
  expect(estimate.expectedMs(true, nowMs)).toBe(0);
});

test('with every slot taken one more takes as long as all that are under way', () => {
  const estimate = withUnderWay(39);
  const nowMs = flow(estimate, 10, 10, true);
  expect(estimate.expectedMs(true, nowMs) / 1000).toBeCloseTo(4, 1);
  expect(estimate.expectedMs(false, nowMs)).toBe(0);
});

test('what ends without being complete is not counted: a flow that does more and more in vain is expected to take longer', () => {
  const estimate = withUnderWay(40);
  let nowMs = flow(estimate, 10, 10, true);
  const before = estimate.expectedMs(true, nowMs);
  for (let n = 0; n < 100; n++) {
    nowMs += 100;
    estimate.ended(n % 10 === 0, true, nowMs);
    estimate.began();
  }
  expect(estimate.expectedMs(true, nowMs)).toBeGreaterThan(3 * before);
});

test('few answers say nothing before some time has passed, nor do many in no time', () => {
  const slow = withUnderWay(4);
  const nowMs = flow(slow, 1, 5, true);
  expect(slow.expectedMs(true, nowMs)).toBe(0);
  expect(slow.expectedMs(true, flow(slow, 1, 1, true, nowMs))).toBeCloseTo(5000);
  const burst = withUnderWay(40);
  expect(burst.expectedMs(true, flow(burst, 40, 0.5, true))).toBe(0);
});

test('a short pause says nothing, and none does while nothing is known', () => {
  const estimate = withUnderWay(4);
  const pausedMs = flow(estimate, 10, 10, true) + 1000;
  const before = estimate.expectedMs(true, pausedMs);
  expect(estimate.expectedMs(true, pausedMs + 4900)).toBe(before);
  const unknown = withUnderWay(40);
  for (const atMs of [0, 6000, 60_000]) expect(unknown.expectedMs(true, atMs)).toBe(0);
});

test('without any answer it is expected to take ever longer', () => {
  const estimate = withUnderWay(40);
  const pausedMs = flow(estimate, 10, 10, true) + 1000;
  const before = estimate.expectedMs(true, pausedMs);
  // As if all 40 became complete just then, and no more than that was ever done.
  expect(estimate.expectedMs(true, pausedMs + 8000)).toBeCloseTo((8000 * 41) / 40);
  expect(estimate.expectedMs(true, pausedMs + 60_000)).toBeCloseTo((60_000 * 41) / 40);
  expect(before).toBeLessThan(8000);
});

test('the time in which slots were free counts for nothing, nor do the answers of it', () => {
  const estimate = withUnderWay(39);
  // Every slot is taken for a moment, and then for a minute none is wanting.
  estimate.expectedMs(true, 0);
  const fullAgainMs = flow(estimate, 1, 60, false);
  estimate.expectedMs(true, fullAgainMs);
  const nowMs = flow(estimate, 8, 1, true, fullAgainMs);
  expect(estimate.expectedMs(true, nowMs)).toBeCloseTo(5000);
});
