import { expect, test } from 'vitest';
import { QueueEstimate } from './queue-estimate.js';

/** A fleet of `slots` workers that settles `rate` jobs a second while there are any. */
function sampleEachSecond(estimate: QueueEstimate, waiting: readonly number[], slots: number, rate: number): number {
  waiting.forEach((each, second) => {
    estimate.sampled({ waiting: each, running: slots, settled: second * rate }, second * 1000);
  });
  return (waiting.length - 1) * 1000;
}

test('workers that settle in batches are not taken for slow because their first batch takes its time', () => {
  const estimate = new QueueEstimate();
  // Eight at a time, every five seconds; the first look is just after they began.
  for (let second = 0; second <= 4; second++) {
    estimate.sampled({ waiting: 30, running: 8, settled: 0 }, second * 1000);
    expect(estimate.expectedMs(1, second * 1000)).toBe(0);
  }
  for (let second = 5; second <= 30; second++) {
    estimate.sampled({ waiting: 30, running: 8, settled: 8 * Math.floor(second / 5) }, second * 1000);
  }
  // 39 at 1.6 a second.
  expect(estimate.expectedMs(1, 30_000)).toBeCloseTo(24_375, -3);
});

test('a queue in which nothing waits lets a job through at once, however slow it was', () => {
  const estimate = new QueueEstimate();
  expect(estimate.expectedMs(100, 0)).toBe(0);
  const nowMs = sampleEachSecond(estimate, [8, 8, 8, 8, 8], 2, 4);
  estimate.sampled({ waiting: 0, running: 1, settled: 30 }, nowMs + 1000);
  expect(estimate.expectedMs(1, nowMs + 1000)).toBe(0);
});

test('what waits takes as long as the fleet needs for it', () => {
  const estimate = new QueueEstimate();
  const nowMs = sampleEachSecond(estimate, [20, 20, 20, 20, 20], 4, 2);
  // 24 are held, and this one.
  expect(estimate.expectedMs(1, nowMs)).toBeCloseTo(12_500);
  expect(estimate.expectedMs(3, nowMs)).toBeCloseTo(13_500);
});

test('jobs sent since the last sample count, and so does what has been done in the meantime', () => {
  const estimate = new QueueEstimate();
  const nowMs = sampleEachSecond(estimate, [20, 20, 20, 20, 20], 4, 2);
  estimate.sent(10);
  expect(estimate.expectedMs(1, nowMs)).toBeCloseTo(17_500);
  expect(estimate.expectedMs(1, nowMs + 500)).toBeCloseTo(17_000);
  estimate.sampled({ waiting: 30, running: 4, settled: 9 }, nowMs + 500);
  expect(estimate.expectedMs(1, nowMs + 500)).toBeCloseTo(17_500);
});

test('a burst into an idle fleet whose slots are known waits for what is more than those', () => {
  const estimate = new QueueEstimate();
  const nowMs = sampleEachSecond(estimate, [20, 20, 20, 20, 20], 4, 2);
  estimate.sampled({ waiting: 0, running: 0, settled: 100 }, nowMs);
  estimate.sent(3);
  expect(estimate.expectedMs(1, nowMs)).toBe(0);
  expect(estimate.expectedMs(2, nowMs)).toBeCloseTo(2500);
});

test('the rate follows a fleet that becomes slower, and one that stands still', () => {
  const estimate = new QueueEstimate();
  let nowMs = sampleEachSecond(estimate, [20, 20, 20, 20, 20], 4, 10);
  let settled = 40;
  for (let second = 0; second < 40; second++) {
    nowMs += 1000;
    settled += 1;
    estimate.sampled({ waiting: 20, running: 4, settled }, nowMs);
  }
  expect(estimate.expectedMs(1, nowMs)).toBeGreaterThan(15_000);
  for (let second = 0; second < 200; second++) {
    nowMs += 1000;
    estimate.sampled({ waiting: 20, running: 4, settled }, nowMs);
  }
  expect(estimate.expectedMs(1, nowMs)).toBeGreaterThan(1_000_000);
});

test('a server that was started again counts anew', () => {
  const estimate = new QueueEstimate();
  const nowMs = sampleEachSecond(estimate, [20, 20, 20, 20, 20], 4, 2);
  estimate.sampled({ waiting: 20, running: 4, settled: 0 }, nowMs + 1000);
  for (let second = 2; second < 6; second++) {
    estimate.sampled({ waiting: 20, running: 4, settled: (second - 1) * 2 }, nowMs + second * 1000);
  }
  expect(estimate.expectedMs(1, nowMs + 5000)).toBeCloseTo(12_500);
});
