import { expect, test } from 'vitest';
import { chartScaling } from '../advise/chart-scaling.js';
import { plainProfile } from '../testing/plain-profile.js';
import { Trace, type TraceRequest } from '../trace/trace.js';
import { Autoscaler, type Scaling } from './scaling.js';
import { simulate } from './simulate.js';

const encoders = (changes: Partial<Scaling> = {}): Scaling => ({
  ...chartScaling('encoder', { min: 0, max: 100, targets: { jobs: 10 } }),
  ...changes,
});

/** What it decides every 15 s while the signal is so. */
function follow(autoscaler: Autoscaler, jobs: readonly number[], from: number): number[] {
  let replicas = from;
  return jobs.map((each, at) => {
    replicas = autoscaler.sync(at * 15_000, { jobs: each }, replicas);
    return replicas;
  });
}

test('a tenth more or less than is one replica is no reason to change', () => {
  expect(follow(new Autoscaler(encoders()), [100, 109, 91, 112], 10)).toEqual([10, 10, 10, 12]);
});

test('it goes up by the larger of four pods and as many again, and no further than the most', () => {
  expect(follow(new Autoscaler(encoders()), [1000, 1000, 1000, 1000, 1000, 1000], 1)).toEqual([5, 10, 20, 40, 80, 100]);
});

test('it goes down once that was right for the whole window, by half a minute at most', () => {
  const quiet = new Array<number>(20).fill(0);
  const counts = follow(new Autoscaler(encoders()), [160, ...quiet], 16);
  // The window of 120 s holds the first thought until the ninth.
  expect(counts.slice(0, 9)).toEqual(new Array(9).fill(16));
  expect(counts[9]).toBe(8);
  expect(counts.slice(10, 13)).toEqual([8, 8, 8]);
  expect(counts[13]).toBe(4);
  expect(counts.at(-1)).toBe(2);
});

test('of several signals the one counts that asks for the most', () => {
  const engines = chartScaling('llm', { min: 1, max: 100, targets: { waiting: 4, kvUsage: 0.8 } });
  expect(new Autoscaler(engines).sync(0, { waiting: 4, kvUsage: 2.4 }, 2)).toBe(3);
  expect(new Autoscaler(engines).sync(0, { waiting: 16, kvUsage: 0.1 }, 2)).toBe(4);
  expect(new Autoscaler(engines).sync(0, { waiting: 0, kvUsage: 0 }, 2)).toBe(1);
});

test('from none it goes to one for the first job, and back only after the cooldown', () => {
  const autoscaler = new Autoscaler(encoders({ cooldownSeconds: 60 }));
  expect(autoscaler.activate(0, { jobs: 0 }, 0)).toBeUndefined();
  expect(autoscaler.activate(5000, { jobs: 1 }, 0)).toBe(1);
  expect(autoscaler.activate(60_000, { jobs: 0 }, 1)).toBeUndefined();
  expect(autoscaler.activate(65_000, { jobs: 0 }, 1)).toBe(0);
  expect(new Autoscaler(encoders({ min: 2 })).activate(0, { jobs: 1 }, 0)).toBe(2);
});

const small = { width: 96, height: 96 };
const picture = (at: number): TraceRequest => ({ at, textTokens: 1, outputTokens: 1, pictures: [small] });

test('a picture that comes to no encoder waits until one was seen to be needed and has started', () => {
  const profile = plainProfile();
  const encoder = { ...(profile.encoder as NonNullable<typeof profile.encoder>), startSeconds: 20 };
  const result = simulate({
    trace: Trace.from([picture(0), picture(1000)]),
    profile: { ...profile, encoder },
    replicas: { encoder: 0 },
    scaling: { encoder: encoders() },
  });
  const times = [...result.timesOf('latency')];
  // Looked at after 5 s, started 20 s later, computed in 10 ms; gone again long before the second comes.
  expect(times[0]).toBeCloseTo(25_010, 6);
  expect(times[1]).toBeGreaterThan(20_010);
  expect(times[1]).toBeLessThanOrEqual(25_010);
  expect(result.stages.encoder?.mostReplicas).toBe(1);
  expect(result.stages.encoder?.replicaHours).toBeLessThan(700 / 3600);
});

test('what a drained replica has is finished, and counts until then', () => {
  const profile = plainProfile();
  const generator = { ...(profile.generator as NonNullable<typeof profile.generator>), slots: 1 };
  const drawing = (at: number, drawingSteps: number): TraceRequest => ({
    at,
    textTokens: 1,
    outputTokens: 1,
    drawings: 1,
    drawingSteps,
  });
  const result = simulate({
    trace: Trace.from([drawing(0, 60_000), drawing(0, 60_000), drawing(500, 1)]),
    profile: { ...profile, generator },
    replicas: { generator: 4 },
    scaling: { generator: { ...encoders({ min: 1 }), targets: { jobs: 100 } } },
  });
  // Each takes ten minutes, of which most are beyond the drain of the second replica; none is lost.
  expect(result.answered).toBe(3);
  expect([...result.timesOf('latency')].slice(0, 2)).toEqual([600_000, 600_000]);
  expect((result.stages.generator?.replicaHours ?? 0) * 3600).toBeGreaterThanOrEqual(1200);
});

test('more replicas come under a burst, which is over sooner than without', () => {
  const trace = Trace.from(Array.from({ length: 60_000 }, (_, at) => picture(at / 500)));
  const profile = plainProfile();
  const encoder = { ...(profile.encoder as NonNullable<typeof profile.encoder>), maxBatch: 1 };
  const of = (scaling?: Scaling) =>
    simulate({
      trace,
      profile: { ...profile, encoder },
      replicas: { encoder: 1 },
      scaling: scaling && { encoder: scaling },
    });
  const fixed = of();
  const scaled = of(encoders({ min: 1 }));
  expect(scaled.seconds).toBeLessThan(fixed.seconds / 2);
  expect(scaled.stages.encoder?.mostReplicas).toBeGreaterThan(4);
});
