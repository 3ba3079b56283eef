import { expect, test } from 'vitest';
import { longerOf } from './measure-beside.js';

const llm = {
  prefillMs: [
    { size: 10, ms: 4 },
    { size: 20, ms: 6 },
  ],
  decodeMs: [
    { size: 1, ms: 2 },
    { size: 3, ms: 4 },
  ],
  contextMs: 10,
};
const request = { ms: 14, sigma: 0, cpuMs: 0, gatewayCpuMs: 0 };

/** One that waited so long for a slot, and whose prompt took so long. */
const asked = (firstMs: number, queueMs: number, prefillMs: number, cachedTokens = 0) => ({
  firstMs,
  inputTokens: 20,
  cachedTokens,
  spent: (_stage: string, name: string) => (name === 'queue' ? queueMs : prefillMs),
});

test('what a request takes longer beside answers is what is neither its own, nor the step that they have anyway', () => {
  // Of three answers with 50 positions in the mean a step takes 4 + 1.5 ms; half of one is waited for.
  const longer = longerOf([asked(14 + 2.75 + 3 + 1 + 13.5, 1, 13.5)], { llm, request }, 3, 100);
  expect(longer.wayMs).toBeCloseTo(3, 9);
  expect(longer.spread).toEqual([1]);
  expect(longer.joinMs).toBeCloseTo(13.5 - 6 - 5.5, 9);
});

test('of several it is the one in the middle, by the tokens that each had to compute, and never less than nothing', () => {
  const all = [asked(0, 0, 6 + 5.5 + 1), asked(0, 0, 4 + 5.5 + 2, 10), asked(0, 0, 900)];
  expect(longerOf(all, { llm, request }, 3, 100)).toMatchObject({ wayMs: 0, joinMs: 2 });
});
