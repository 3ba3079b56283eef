import { expect, test } from 'vitest';
import { plainProfile } from '../testing/plain-profile.js';
import { Trace, type TraceRequest } from '../trace/trace.js';
import { simulate } from './simulate.js';

/** Five tiles of 16 tokens, which come after 10, 20, 30, 40 and 50 ms; of the prompt each token takes half a millisecond. */
const picture: TraceRequest = {
  at: 0,
  textTokens: 8,
  outputTokens: 1,
  pictures: [{ width: 960, height: 960 }],
};
const profile = (maxRunning: number) => {
  const plain = plainProfile();
  const encoder = { ...(plain.encoder as NonNullable<typeof plain.encoder>), maxBatch: 1, tilesPerJob: 1 };
  const prefillMs = [
    { size: 1, ms: 0.5 },
    { size: 100, ms: 50 },
  ];
  return { ...plain, encoder, llm: { ...plain.llm, maxRunning, prefillMs } };
};
const timesOf = (requests: readonly TraceRequest[], maxRunning: number) => {
  const result = simulate({ trace: Trace.from(requests), profile: profile(maxRunning), replicas: {} });
  return { begun: [...result.timesOf('begun')], ttft: [...result.timesOf('ttft')] };
};

test('what stands before the first missing tile is computed while the others are made', () => {
  const { begun, ttft } = timesOf([picture], 16);
  expect(begun).toEqual([10]);
  // The fifth tile, two tokens around the picture and eight of the text are left when all are there.
  expect(ttft[0]).toBeCloseTo(50 + 26 * 0.5, 9);
});

test('one that waits for tiles gives its slot to one that has everything, and goes on where it was once it has that too', () => {
  const text: TraceRequest = { at: 0.012, textTokens: 1, outputTokens: 100 };
  const { begun, ttft } = timesOf([picture, text], 1);
  // The step with the first tile ends after 18 ms; then the text is written, alone, until 117.5.
  expect(begun[0]).toBe(10);
  expect(ttft[1]).toBeCloseTo(18.5 - 12, 9);
  expect(ttft[0]).toBeCloseTo(117.5 + (90 - 16) * 0.5, 9);
});

test('while some have everything and wait for a slot, those that wait for tiles get none', () => {
  const long = (at: number): TraceRequest => ({ at, textTokens: 1, outputTokens: 100 });
  const { begun } = timesOf([long(0), long(0), picture], 1);
  // Two answers of 99.5 ms each come first.
  expect(begun[2]).toBeCloseTo(199, 9);
});
