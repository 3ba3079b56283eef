import { expect, test } from 'vitest';
import { plainProfile } from '../testing/plain-profile.js';
import { syntheticRequests } from '../trace/synthetic.js';
import { syntheticDefaults } from '../trace/synthetic-options.js';
import { Trace, type TraceRequest } from '../trace/trace.js';
import { simulate } from './simulate.js';

const text = (at: number, outputTokens = 1, more: Partial<TraceRequest> = {}): TraceRequest => ({
  at,
  textTokens: 1,
  outputTokens,
  ...more,
});

test('the same options give the same result, to the last digit', () => {
  const requests = { ...syntheticDefaults, requests: 3000, rate: 40, pictureShare: 0.4, drawingShare: 0.1 };
  const trace = Trace.from(syntheticRequests(requests));
  const once = (seed: number) =>
    simulate({ trace, profile: plainProfile(), replicas: { encoder: 2, llm: 3, generator: 2 }, seed });
  expect(once(1).timesOf('latency')).toEqual(once(1).timesOf('latency'));
  expect(once(1).timesOf('latency')).not.toEqual(once(2).timesOf('latency'));
});

test('what waits is computed together, up to the bound', () => {
  const profile = plainProfile();
  const encoder = { ...(profile.encoder as NonNullable<typeof profile.encoder>), slots: 64, maxBatch: 4 };
  encoder.batchMs = [
    { size: 1, ms: 10 },
    { size: 4, ms: 16 },
  ];
  const small = { width: 96, height: 96 };
  const trace = Trace.from(Array.from({ length: 9 }, () => text(0, 1, { pictures: [small] })));
  const { latency } = simulate({ trace, profile: { ...profile, encoder }, replicas: {} });
  // The first is alone; then two batches of four.
  expect([0, 1 / 8, 0.5, 5 / 8, 1].map((share) => latency.quantile(share))).toEqual([10, 26, 26, 42, 42]);
});

test('a picture is as many tiles as the plan of the model says, in jobs of so many that replicas share', () => {
  // 2 x 2 parts and the thumbnail: five tiles, in jobs of four and one.
  const trace = Trace.from([text(0, 1, { pictures: [{ width: 960, height: 960 }] })]);
  const profile = plainProfile();
  const encoder = { ...(profile.encoder as NonNullable<typeof profile.encoder>), tileMs: 5 };
  encoder.batchMs = [
    { size: 1, ms: 10 },
    { size: 8, ms: 80 },
  ];
  const ofReplicas = (count: number): number =>
    simulate({ trace, profile: { ...profile, encoder }, replicas: { encoder: count } }).latency.mean;
  // Alone: one tile is ready after 5 ms and computed by 15; the other four, ready at 20, by 60.
  expect(ofReplicas(1)).toBe(60);
  expect(ofReplicas(2)).toBe(60);
  const whole = { ...encoder, tilesPerJob: 1 };
  expect(simulate({ trace, profile: { ...profile, encoder: whole }, replicas: { encoder: 5 } }).latency.mean).toBe(15);
});

test('prompts are computed in chunks between the tokens of those that decode', () => {
  const profile = plainProfile();
  const llm = { ...profile.llm, maxChunkTokens: 100, maxStepTokens: 101 };
  llm.prefillMs = [
    { size: 1, ms: 0.1 },
    { size: 100, ms: 10 },
  ];
  const trace = Trace.from([text(0, 1000), { at: 0.1, textTokens: 300, outputTokens: 2 }]);
  const result = simulate({ trace, profile: { ...profile, llm }, replicas: {} });
  // Its three chunks come with three tokens of the other, and another token follows.
  expect(result.timesOf('ttft')[1]).toBeCloseTo(0.1 + 3 * 11 - 0.1, 0);
  expect(result.timesOf('latency')[1]).toBeCloseTo(34, 0);
  // Which is delayed by them, and by no more.
  expect(result.timesOf('latency')[0]).toBeCloseTo(0.1 + 999 + 30, 6);
});

test('the KV cache bounds how many run by the longest of them', () => {
  const profile = plainProfile();
  const llm = { ...profile.llm, kvTokens: 4 * 101 };
  const requests = (length: number): Trace => Trace.from(Array.from({ length }, () => text(0, 100)));
  // How many answers of 100 tokens the last one takes.
  const turns = (count: number): number =>
    Math.round(
      simulate({ trace: requests(count), profile: { ...profile, llm }, replicas: {} }).latency.quantile(1) / 100,
    );
  expect([turns(4), turns(5), turns(8), turns(9)]).toEqual([1, 2, 2, 3]);
});

test('what finds no room in any engine is refused, and nothing else', () => {
  const { llm } = plainProfile();
  const profile = plainProfile({ llm: { ...llm, maxRunning: 2, maxWaiting: 1 } });
  const trace = Trace.from([...Array.from({ length: 10 }, () => text(0, 100)), text(1, 100)]);
  const result = simulate({ trace, profile, replicas: { llm: 2 } });
  expect([result.answered, result.refused]).toEqual([7, 4]);
  expect(result.timesOf('latency')[10]).toBe(99);
});

test('choices share the prompt, and each has its drawing', () => {
  const profile = plainProfile();
  const llm = { ...profile.llm };
  llm.prefillMs = [
    { size: 1, ms: 1 },
    { size: 100, ms: 100 },
  ];
  const request = { at: 0, textTokens: 100, outputTokens: 11, choices: 3, drawings: 1, drawingSteps: 5 };
  const result = simulate({ trace: Trace.from([request]), profile: { ...profile, llm }, replicas: {} });
  expect(result.ttft.mean).toBe(100);
  // Two prompts' ends of a millisecond each delay the first choice's second token; the drawings of 5 steps go together.
  expect(result.stages.generator?.utilisation).toBeGreaterThan(0);
  expect(result.latency.mean).toBeGreaterThan(100 + 10 + 2 + 50);
  expect(result.latency.mean).toBeLessThan(100 + 10 + 3 + 50 + 150);
});

test('a drawing joins those in work at their next step', () => {
  const trace = Trace.from([
    text(0, 1, { drawings: 1, drawingSteps: 10 }),
    text(0.025, 1, { drawings: 1, drawingSteps: 2 }),
  ]);
  const profile = plainProfile();
  const generator = { ...(profile.generator as NonNullable<typeof profile.generator>) };
  generator.stepMs = [
    { size: 1, ms: 10 },
    { size: 2, ms: 16 },
  ];
  const times = simulate({ trace, profile: { ...profile, generator }, replicas: {} }).timesOf('latency');
  // It comes in the third step, is in the fourth and the fifth, which take 16 ms each.
  expect(times[1]).toBeCloseTo(30 + 32 - 25, 9);
  expect(times[0]).toBeCloseTo(100 + 12, 9);
});

test('what reaches two stages at once on one core takes as long as both', () => {
  const work = { ms: 10, sigma: 0, cpuMs: 10, gatewayCpuMs: 10 };
  const trace = Trace.from([text(0), text(0)]);
  const on = (machineCores: number): number =>
    simulate({ trace, profile: plainProfile({ request: work }), replicas: {}, machineCores }).latency.mean;
  expect([on(1), on(2), on(4)]).toEqual([20, 10, 10]);
});

test.each([undefined, 2])('what comes after a year is computed as what comes at once, on %s cores', (machineCores) => {
  const requests = [...syntheticRequests({ ...syntheticDefaults, requests: 2000, rate: 30, pictureShare: 0.3 })];
  const work = { ms: 3, sigma: 0, cpuMs: 2.1, gatewayCpuMs: 0.7 };
  const { llm } = plainProfile();
  const profile = plainProfile({
    request: work,
    token: { ...work, ms: 0, cpuMs: 0.1, gatewayCpuMs: 0.1 },
    llm: {
      ...llm,
      decodeMs: [
        { size: 1, ms: 1.3 },
        { size: 16, ms: 3.7 },
      ],
      maxRunning: 64,
    },
  });
  const since = (year: number) =>
    simulate({
      trace: Trace.from([text(0), ...requests.map((request) => ({ ...request, at: request.at + year }))]),
      profile,
      replicas: {},
      machineCores,
    });
  const [now, later] = [since(10), since(31_536_000)];
  expect(later.answered).toBe(now.answered);
  expect(later.latency.mean / now.latency.mean).toBeCloseTo(1, 3);
  expect(later.events / now.events).toBeCloseTo(1, 1);
});
