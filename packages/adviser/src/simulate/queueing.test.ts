import { randomExponential } from 'd3-random';
import { expect, test } from 'vitest';
import { plainProfile } from '../testing/plain-profile.js';
import { seededUniform } from '../trace/synthetic.js';
import { Trace, type TraceRequest } from '../trace/trace.js';
import { simulate } from './simulate.js';

/** A token takes a thousandth of the mean service time, so that whole numbers of them are as good as any time. */
const tokensPerService = 1000;
const requests = 200_000;
/** Batches of arrivals whose means are told apart, and the value of Student's t for as many at 99.9 %. */
const batches = 20;
const studentT = 3.883;

/** Means of the waits that requests had, in service times: of all of them, and how far that may be off by chance. */
function meanWait(servers: number, load: number, exponential: boolean): { mean: number; error: number } {
  const uniform = seededUniform(7);
  const gap = randomExponential.source(uniform)(load * servers);
  const service = randomExponential.source(uniform)(1);
  const lengths: number[] = [];
  let at = 0;
  const trace = Trace.from(
    Array.from({ length: requests }, (): TraceRequest => {
      at += gap();
      const outputTokens = exponential ? 1 + Math.round(service() * tokensPerService) : tokensPerService + 1;
      lengths.push(outputTokens - 1);
      return { at, textTokens: 1, outputTokens };
    }),
  );
  const { llm } = plainProfile();
  // A token a millisecond, whoever else runs; a mean service of a second.
  const result = simulate({
    trace,
    profile: plainProfile({ llm: { ...llm, maxRunning: servers } }),
    replicas: { llm: 1 },
  });
  expect(result.answered).toBe(requests);
  const waits = result.timesOf('ttft').map((ms) => ms / 1000);
  const means = Array.from({ length: batches }, (_, batch) => {
    const part = waits.slice((batch * requests) / batches, ((batch + 1) * requests) / batches);
    return part.reduce((sum, wait) => sum + wait, 0) / part.length;
  });
  const mean = means.reduce((sum, each) => sum + each, 0) / batches;
  const variance = means.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (batches - 1);
  return { mean, error: studentT * Math.sqrt(variance / batches) };
}

/** Erlang's C: the share of requests that wait. */
function erlangC(servers: number, load: number): number {
  const offered = servers * load;
  let term = 1;
  let sum = 1;
  for (let n = 1; n < servers; n++) {
    term *= offered / n;
    sum += term;
  }
  const last = (term * offered) / servers / (1 - load);
  return last / (sum + last);
}

test.each([0.5, 0.8])('one server with exponential service waits as M/M/1 does at load %f', (load) => {
  const { mean, error } = meanWait(1, load, true);
  expect(Math.abs(mean - load / (1 - load))).toBeLessThan(error);
});

test.each([0.5, 0.8])('one server with equal service waits half as long, as M/D/1 does at load %f', (load) => {
  const { mean, error } = meanWait(1, load, false);
  expect(Math.abs(mean - load / (2 * (1 - load)))).toBeLessThan(error);
});

test.each([
  [4, 0.8],
  [16, 0.9],
])('%i slots wait as M/M/c does at load %f', (servers, load) => {
  const { mean, error } = meanWait(servers, load, true);
  expect(Math.abs(mean - erlangC(servers, load) / (servers * (1 - load)))).toBeLessThan(error);
});

test('one core that threads share holds a request as long as processor sharing does', () => {
  const load = 0.7;
  const uniform = seededUniform(3);
  const gap = randomExponential.source(uniform)(load / 10);
  let at = 0;
  const trace = Trace.from(
    Array.from({ length: requests }, () => {
      at += gap();
      return { at: at / 1000, textTokens: 1, outputTokens: 1 };
    }),
  );
  const work = { ms: 10, sigma: 0, cpuMs: 10, gatewayCpuMs: 10 };
  const result = simulate({ trace, profile: plainProfile({ request: work }), replicas: {}, machineCores: 1 });
  // M/D/1 with processor sharing: the mean does not depend on how service times are spread.
  expect(result.latency.mean).toBeGreaterThan((10 / (1 - load)) * 0.97);
  expect(result.latency.mean).toBeLessThan((10 / (1 - load)) * 1.03);
  expect(result.machineUtilisation).toBeCloseTo(load, 1);
});
