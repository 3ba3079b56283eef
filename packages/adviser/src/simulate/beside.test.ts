import { expect, test } from 'vitest';
import type { Profile } from '../profile/profile.js';
import { plainProfile } from '../testing/plain-profile.js';
import { Trace } from '../trace/trace.js';
import { simulate } from './simulate.js';

/** Two answers that are being written, a token a millisecond, when a short request comes in the midst of a step. */
const crowd = Trace.from([
  { at: 0, textTokens: 1, outputTokens: 1000 },
  { at: 0, textTokens: 1, outputTokens: 1000 },
  { at: 0.1005, textTokens: 1, outputTokens: 1 },
]);
const alone = Trace.from([{ at: 0, textTokens: 1, outputTokens: 1 }]);

const lastOf = (trace: Trace, profile: Profile, machineCores?: number) => {
  const result = simulate({ trace, profile, replicas: {}, machineCores });
  return {
    begunMs: result.timesOf('begun').at(-1),
    ttftMs: result.timesOf('ttft').at(-1),
    latencyMs: result.timesOf('latency').at(-1),
    othersMs: result.timesOf('latency')[0],
  };
};

test('a step with a prompt beside answers takes longer by what joining costs, and all of the step feel it', () => {
  const plain = plainProfile();
  const joinMs = [
    { size: 1, ms: 3 },
    { size: 2, ms: 5 },
  ];
  const profile = { ...plain, llm: { ...plain.llm, joinMs } };
  const [without, joined] = [lastOf(crowd, plain), lastOf(crowd, profile)];
  // At the end of the step under way it is taken up; its own step is one of a millisecond, or of six.
  expect(joined.begunMs).toBeCloseTo(0.5, 9);
  expect((joined.ttftMs ?? 0) - (without.ttftMs ?? 0)).toBeCloseTo(5, 9);
  // The first one has seen the second join it as well.
  expect((joined.othersMs ?? 0) - (without.othersMs ?? 0)).toBeCloseTo(3 + 5, 9);
  expect(lastOf(alone, profile).ttftMs).toBe(0);
});

test("a request's way takes longer by as many answers as its engine writes", () => {
  const request = { ms: 10, sigma: 0, cpuMs: 1, gatewayCpuMs: 1 };
  const besideMs = [
    { size: 1, ms: 4 },
    { size: 3, ms: 8 },
  ];
  const profile = plainProfile({ request, besideMs });
  // 6 ms of two, and the step under way.
  expect(lastOf(crowd, profile).begunMs).toBeCloseTo(16 + 0.5, 9);
  expect(lastOf(alone, profile).begunMs).toBe(10);
});

test('beside answers a way varies as it was measured to vary there', () => {
  const request = { ms: 10, sigma: 0, cpuMs: 0, gatewayCpuMs: 0 };
  const profile = plainProfile({ request, besideMs: [{ size: 1, ms: 5 }], besideSigma: 0.5 });
  const others = Array.from({ length: 2 }, () => ({ at: 0, textTokens: 1, outputTokens: 40_000_000 }));
  const came = Array.from({ length: 4000 }, (_, at) => ({ at: 1 + at, textTokens: 1, outputTokens: 1 }));
  const begun = simulate({ trace: Trace.from([...others, ...came]), profile, replicas: {} }).timesOf('begun');
  const sorted = [...begun.subarray(2)].sort((a, b) => a - b);
  // With two answers 10 ms more, and half a step; nine of ten below that times e^(1.2816 / 2).
  expect(Math.abs((sorted[2000] as number) - 20.5)).toBeLessThan(0.6);
  expect(Math.abs((sorted[3600] as number) - 20 * Math.exp(0.6408) - 0.5)).toBeLessThan(1.6);
});

test('on cores that are shared a way takes what was measured beside answers, or what the cores leave it, and not both', () => {
  const request = { ms: 10, sigma: 0, cpuMs: 10, gatewayCpuMs: 10 };
  const way = (ms: number): number =>
    lastOf(crowd, plainProfile({ request, besideMs: [{ size: 2, ms }] }), 1).begunMs ?? 0;
  // With the engine on one core it takes twice its 10 ms; that it is 4 ms longer was measured with the engine there too.
  expect(Math.abs(way(4) - way(0))).toBeLessThan(1e-6);
  expect(way(4)).toBeGreaterThan(19);
  expect(way(25)).toBeGreaterThan(way(0) + 14);
  expect(way(25)).toBeLessThan(35 + 2);
});

test('an answer ends some time after its last token, and one that draws with its drawings', () => {
  const profile = plainProfile({ finishMs: 7 });
  const { ttftMs, latencyMs } = lastOf(alone, profile);
  expect([ttftMs, latencyMs]).toEqual([0, 7]);
  const drawing = Trace.from([{ at: 0, textTokens: 1, outputTokens: 1, drawings: 1, drawingSteps: 2 }]);
  expect(lastOf(drawing, profile).latencyMs).toBe(20);
});
