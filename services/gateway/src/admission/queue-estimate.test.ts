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

test('a batch that is done just after the first look is not taken for the speed of the fleet', () => {
  const estimate = new QueueEstimate();
  estimate.sampled({ waiting: 30, running: 8, settled: 0 }, 0);
  estimate.sampled({ waiting: 22, running: 8, settled: 8 }, 100);
  expect(estimate.expectedMs(1, 100)).toBe(0);
  // Two rounds of what the workers hold are enough.
  estimate.sampled({ waiting: 14, running: 8, settled: 16 }, 10_000);
  expect(estimate.expectedMs(1, 10_000)).toBeCloseTo(23 / 0.0016);
});

test('few jobs that take long say how long they take, after a while', () => {
  const estimate = new QueueEstimate();
  estimate.sampled({ waiting: 9, running: 8, settled: 0 }, 0);
  estimate.sampled({ waiting: 9, running: 8, settled: 1 }, 19_000);
  expect(estimate.expectedMs(1, 19_000)).toBe(0);
  estimate.sampled({ waiting: 9, running: 8, settled: 2 }, 20_000);
  expect(estimate.expectedMs(1, 20_000)).toBeCloseTo(180_000);
});

test('the newest rate counts half', () => {
  const estimate = new QueueEstimate();
  const nowMs = sampleEachSecond(estimate, [20, 20, 20, 20, 20], 1, 2);
  estimate.sampled({ waiting: 20, running: 1, settled: 12 }, nowMs + 1000);
  // 3 a second, of 2 and 4.
  expect(estimate.expectedMs(3, nowMs + 1000)).toBeCloseTo(8000);
});

test('while no job has to wait nothing is learned of what the fleet can do, however slowly it is asked', () => {
  const estimate = new QueueEstimate();
  for (let second = 0; second < 40; second++) {
    estimate.done({ queueMs: 10, busyMs: 1000 });
    estimate.sampled({ waiting: 0, running: 1, settled: second }, second * 1000);
  }
  expect(estimate.expectedMs(100, 40_000)).toBe(0);
});

test.each([
  [8, 4500],
  [1, 1000],
])('%d jobs that wait with a worker say as much as those in the queue', (running, expectedMs) => {
  const estimate = new QueueEstimate();
  for (let second = 0; second <= 20; second++) {
    estimate.done({ queueMs: 4000, busyMs: 1000 });
    estimate.sampled({ waiting: 0, running, settled: 2 * second }, second * 1000);
  }
  expect(estimate.expectedMs(1, 20_000)).toBeCloseTo(expectedMs);
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

test('a burst into an idle fleet takes as long as the fleet needs for it', () => {
  const estimate = new QueueEstimate();
  const nowMs = sampleEachSecond(estimate, [20, 20, 20, 20, 20], 4, 2);
  estimate.sampled({ waiting: 0, running: 0, settled: 100 }, nowMs);
  expect(estimate.expectedMs(1, nowMs)).toBeCloseTo(500);
  estimate.sent(9);
  expect(estimate.expectedMs(1, nowMs)).toBeCloseTo(5000);
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

test('that nobody takes jobs for a while says nothing of what a fleet can do, and what waits takes what it took', () => {
  const estimate = new QueueEstimate();
  const nowMs = sampleEachSecond(estimate, [20, 20, 20, 20, 20], 4, 2);
  // The first look at a queue without workers comes before it is known that there are none.
  for (const second of [1, 2]) estimate.sampled({ waiting: 20, running: 0, settled: 8 }, nowMs + second * 1000);
  expect(estimate.expectedMs(1, nowMs + 2000)).toBeCloseTo(10_500);
  for (let second = 3; second < 600; second++) {
    // A worker that died holds its jobs until somebody else is there.
    estimate.deserted({ waiting: 20, running: 4, settled: 8 }, nowMs + second * 1000);
  }
  expect(estimate.expectedMs(1, nowMs + 600_000)).toBeCloseTo(12_500);
  // Whoever comes is judged by what he does, not by the time before he came.
  for (let second = 600; second <= 610; second++) {
    estimate.sampled({ waiting: 20, running: 4, settled: 8 + 4 * (second - 600) }, nowMs + second * 1000);
  }
  expect(estimate.expectedMs(1, nowMs + 610_000)).toBeCloseTo(25_000 / 4, -3);
});

test('a queue that nobody ever took jobs from is expected to take no time', () => {
  const estimate = new QueueEstimate();
  for (let second = 0; second < 60; second++) estimate.deserted({ waiting: 50, running: 0, settled: 0 }, second * 1000);
  expect(estimate.expectedMs(1, 60_000)).toBe(0);
});
