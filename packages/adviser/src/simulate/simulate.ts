import { hourOf, type StageName, stagesOf } from '../profile/profile.js';
import { Deployment } from './deployment.js';
import { type Sample, sampleOf } from './sample.js';
import { Autoscaler, type Scaling, syncSeconds } from './scaling.js';
import type { SimulationOptions, StageResult } from './simulation.js';

export interface SimulationResult {
  readonly requests: number;
  readonly answered: number;
  readonly refused: number;
  /** From the first arrival to the last answer. */
  readonly seconds: number;
  /** Until the first token, in milliseconds. */
  readonly ttft: Sample;
  /** Until the whole answer, drawings included. */
  readonly latency: Sample;
  /** From one token of an answer to the next, in the mean of the answer. */
  readonly token: Sample;
  /** The times of each request, in the order of the trace; NaN of one that was refused. */
  timesOf(what: 'begun' | 'ttft' | 'latency' | 'token'): Float64Array;
  readonly stages: Readonly<Partial<Record<StageName, StageResult>>>;
  /** Of one machine for all: the share of its cores that was busy. */
  readonly machineUtilisation?: number;
  /** Of all replicas. */
  readonly cost: number;
  readonly events: number;
}

/** So many milliseconds are simulated before the caller's signal is looked at. */
const sliceMs = 60_000;
/** Whoever is not answered so long after the last arrival never is. */
const patienceMs = 24 * 3_600_000;

/** Has a trace's requests come to a deployment as the profile describes it, event by event. The same options give the same result. */
export function simulate(options: SimulationOptions): SimulationResult {
  const { trace, profile, signal } = options;
  const deployment = new Deployment(options);
  const scaled = scalers(options, deployment);
  const { events } = deployment;
  deployment.start();
  const lastMs = trace.length === 0 ? 0 : (trace.arrival(trace.length - 1) - trace.arrival(0)) * 1000;
  for (let until = sliceMs; !deployment.isDone && events.now < lastMs + patienceMs; until += sliceMs) {
    signal?.throwIfAborted();
    if (!events.runUntil(until) && !deployment.isDone) break;
  }
  for (const stop of scaled) stop();
  const seconds = Math.max(lastMs, deployment.endedMs) / 1000;
  const stages: Partial<Record<StageName, StageResult>> = {};
  let cost = 0;
  for (const name of stagesOf(profile)) {
    const result = deployment.resultOf(name, seconds);
    stages[name] = result;
    cost += result.replicaHours * hourOf(profile, name);
  }
  const { begunMs, ttftMs, latencyMs, tokenMs, answered, refused } = deployment.outcome;
  return {
    requests: trace.length,
    answered,
    refused,
    seconds,
    ttft: sampleOf(ttftMs),
    latency: sampleOf(latencyMs),
    token: sampleOf(tokenMs),
    timesOf: (what) => ({ begun: begunMs, ttft: ttftMs, latency: latencyMs, token: tokenMs })[what],
    stages,
    machineUtilisation: deployment.machineUtilisation(seconds),
    cost,
    events: events.count,
  };
}

/** Has the replicas of stages follow their signals. @returns what stops each */
function scalers({ scaling = {} }: SimulationOptions, deployment: Deployment): (() => void)[] {
  const { events } = deployment;
  return (Object.entries(scaling) as [StageName, Scaling][]).map(([stage, each]) => {
    const autoscaler = new Autoscaler(each);
    const { replicas, signals } = deployment.scalable(stage);
    let stopped = false;
    const every = (seconds: number, look: () => void): void => {
      const turn = (): void => {
        if (stopped || deployment.isDone) return;
        look();
        events.in(seconds * 1000, turn);
      };
      events.in(seconds * 1000, turn);
    };
    if (each.min === 0) {
      every(each.pollSeconds, () => {
        const count = autoscaler.activate(events.now, signals(), replicas.wanted);
        if (count !== undefined) replicas.scaleTo(count);
      });
    }
    every(syncSeconds, () => {
      if (replicas.wanted > 0) replicas.scaleTo(autoscaler.sync(events.now, signals(), replicas.wanted));
    });
    return () => {
      stopped = true;
    };
  });
}
