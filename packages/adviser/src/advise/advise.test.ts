import { expect, test } from 'vitest';
import { parseProfile } from '../profile/profile.js';
import { plainProfile } from '../testing/plain-profile.js';
import { syntheticRequests } from '../trace/synthetic.js';
import { syntheticDefaults } from '../trace/synthetic-options.js';
import { Trace } from '../trace/trace.js';
import { advise } from './advise.js';
import { findMachine } from './find-machine.js';
import { parseObjectives } from './objective.js';

const { llm } = plainProfile();
/** An engine that writes 16 answers at once, at 10 ms a token. */
const profile = plainProfile({
  llm: {
    ...llm,
    maxWaiting: 4096,
    decodeMs: [
      { size: 1, ms: 10 },
      { size: 16, ms: 10 },
    ],
  },
});
const most = { gateway: 8, encoder: 16, connector: 8, llm: 32, generator: 16 };

function question(changes: Partial<Parameters<typeof advise>[0]> = {}) {
  const requests = {
    ...syntheticDefaults,
    requests: 4000,
    rate: 40,
    outputTokens: { median: 100, sigma: 0, most: 100 },
  };
  return {
    trace: Trace.from(syntheticRequests(requests)),
    profile,
    objectives: parseObjectives('ttft_p95=200ms'),
    most,
    seed: 1,
    machineCores: 0,
    scales: false,
    ...changes,
  };
}

test('it finds as many engines as the load needs, and none more', () => {
  const { holds, fixed } = advise(question());
  expect(holds).toBe(true);
  // 40 a second for a second each: 40 in the mean, for which three engines of 16 do, and two do not.
  expect(fixed.replicas.llm).toBe(3);
  expect(fixed.replicas).toMatchObject({ gateway: 1, encoder: 1, connector: 1, generator: 1 });
  expect(fixed.oneLess.get('llm')?.value).toBeGreaterThan(200);
});

test('bounds that are too low give the nearest, the reason and no scaling', () => {
  const advice = advise(question({ most: { ...most, llm: 2 }, scales: true, machineCores: 16 }));
  expect(advice.holds).toBe(false);
  expect(advice.fixed.replicas.llm).toBe(2);
  expect(advice.reasons[0]).toContain('Nothing within the bounds holds ttft_p95=200ms');
  expect(advice.reasons[0]).toContain('llm has the most replicas allowed');
  expect([advice.scaled, advice.machine]).toEqual([undefined, undefined]);
});

test('a stage that costs more is spared at the cost of one that costs less', () => {
  const pictures = {
    ...syntheticDefaults,
    requests: 3000,
    rate: 100,
    pictureShare: 1,
    pictureSizes: [{ width: 96, height: 96 }],
  };
  const trace = Trace.from(syntheticRequests({ ...pictures, outputTokens: { median: 1, sigma: 0, most: 1 } }));
  const { fixed } = advise(question({ trace, objectives: parseObjectives('ttft_p95=100ms') }));
  // A picture takes 10 ms alone, batches no less for each: 100 a second need more than one encoder.
  expect(fixed.replicas.encoder).toBe(2);
  expect(fixed.replicas.llm).toBe(1);
});

test('a load that comes and goes is followed at less cost, with values of the charts', () => {
  const requests = {
    ...syntheticDefaults,
    requests: 20_000,
    rate: 4,
    arrivals: 'diurnal' as const,
    period: 3600,
    share: 0.95,
  };
  const trace = Trace.from(
    syntheticRequests({ ...requests, outputTokens: { median: 400, sigma: 0, most: 400 }, pictureShare: 0.02 }),
  );
  const advice = advise(question({ trace, scales: true, objectives: parseObjectives('ttft_p95=2s,latency_p95=10s') }));
  expect(advice.holds).toBe(true);
  expect(advice.scaled?.result.cost).toBeLessThan(advice.fixed.result.cost);
  expect(advice.values.gateway).toEqual({ replicas: 1, autoscaling: { type: 'none' } });
  const { min, max } = advice.scaled?.scaling.llm ?? { min: 0, max: 0 };
  expect(min).toBeLessThan(max);
  expect(advice.values.llm).toEqual({
    autoscaling: {
      type: 'keda',
      minReplicas: min,
      maxReplicas: max,
      keda: advice.scaled?.scaling.llm?.targets,
    },
  });
});

test('one machine is better where stages seldom compute at the same time', () => {
  const requests = {
    ...syntheticDefaults,
    requests: 500,
    rate: 0.5,
    outputTokens: { median: 20, sigma: 0, most: 20 },
    pictureShare: 0.5,
  };
  const advice = advise(
    question({
      trace: Trace.from(syntheticRequests(requests)),
      machineCores: 8,
      objectives: parseObjectives('latency_p95=2s'),
    }),
  );
  expect(advice.machine?.cores).toBe(1);
  expect(advice.machineIsBetter).toBe(true);
  expect(advice.reasons.join(' ')).toContain('One machine of 1 cores for all is better');
});

test('of a long trace the machine is tried on the busiest part, and costs for the whole', () => {
  const requests = { ...syntheticDefaults, requests: 2000, rate: 20, outputTokens: { median: 20, sigma: 0, most: 20 } };
  const trace = Trace.from(syntheticRequests(requests));
  const asked = question({ trace, objectives: parseObjectives('latency_p95=2s') });
  const [whole, part] = [2000, 400].map((most) => findMachine(asked, {}, 8, most));
  expect([whole?.result.requests, part?.result.requests]).toEqual([2000, 400]);
  expect(part?.cores).toBe(whole?.cores);
  expect((part?.cost ?? 0) / (whole?.cost ?? 1)).toBeCloseTo(1, 2);
});

test('and not where an accelerator has to be kept busy all the same', () => {
  const dear = plainProfile({ llm: { ...profile.llm, hour: 30 } });
  const { machine, machineIsBetter, fixed } = advise(question({ profile: dear, machineCores: 64 }));
  expect(machine?.cost).toBeGreaterThan(((fixed.replicas.llm ?? 0) * 29 * fixed.result.seconds) / 3600);
  expect(machineIsBetter).toBe(machine?.holds === true && machine.cost < fixed.result.cost);
});

test.each(['', 'ttft=1s', 'ttft_p95=1', 'ttft_p95=0s', 'speed_p95=1s', 'refused=1', 'ttft_p95=1s;latency_p95=2s'])(
  'the objective %j is refused with an example',
  (text) => {
    expect(() => parseObjectives(text)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('say ttft_p95=1s') }),
    );
  },
);

test('nothing is held that refuses more than a thousandth, unless that is asked for', () => {
  expect(parseObjectives('ttft_p95=1s').map(({ text }) => text)).toEqual(['ttft_p95=1s', 'refused=0.1%']);
  expect(parseObjectives('refused=5%,ttft_p95=1s').map(({ most: each }) => each)).toEqual([0.05, 1000]);
});

test.each([
  ['{', 'is not JSON'],
  ['{"format": 2}', 'must be 1, the format that this release reads'],
  [JSON.stringify({ ...plainProfile(), cpus: 3 }), 'cpus'],
  [JSON.stringify({ ...plainProfile(), llm: { ...llm, decodeMs: [] } }), 'decodeMs'],
  [
    JSON.stringify({
      ...plainProfile(),
      llm: {
        ...llm,
        decodeMs: [
          { size: 2, ms: 1 },
          { size: 2, ms: 2 },
        ],
      },
    }),
    'is not above the one before it',
  ],
])('a profile such as %.40s is refused by the name of what is wrong', (text, message) => {
  expect(() => parseProfile(text)).toThrow(
    expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) }),
  );
});
