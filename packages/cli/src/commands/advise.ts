import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  type Advice,
  advise as adviseOn,
  counts,
  hourlyCost,
  type Objective,
  type Profile,
  parseObjectives,
  readProfile,
  readTrace,
  type SimulationResult,
  type StageName,
  shown,
  simulate,
  stagesOf,
} from '@tessera/adviser';
import { TesseraError } from '@tessera/protocol';
import { stringify } from 'yaml';
import { HintedError } from '../hinted-error.js';
import { note, table } from '../terminal.js';

export interface AdviseCommandOptions {
  readonly trace: string;
  readonly profile: string;
  readonly objective: string;
  readonly max: readonly string[];
  readonly cost: readonly string[];
  readonly costCoreHour?: number;
  readonly machineCores: number;
  readonly replicas: readonly string[];
  readonly scaling: boolean;
  readonly values?: string;
  readonly maxRequests: number;
  readonly seed: number;
  readonly json: boolean;
}

const defaultMost = 64;
const mostReplicas = 10_000;

/** Says what to run for a trace of requests, and why. */
export async function advise(options: AdviseCommandOptions, signal: AbortSignal): Promise<void> {
  const objectives = parseObjectives(options.objective);
  const profile = withCosts(await readProfile(resolve(options.profile)), options);
  const stages = stagesOf(profile);
  const most = {
    ...Object.fromEntries(stages.map((stage) => [stage, defaultMost])),
    ...perStage(options.max, profile, '--max', 1),
  };
  const from = options.trace === '-' ? process.stdin : resolve(options.trace);
  const trace = await readTrace(from, { maxRequests: options.maxRequests, signal });
  if (trace.seconds > 0)
    note(
      `${trace.length} requests in ${trace.seconds.toFixed(0)} s, ${(trace.length / trace.seconds).toFixed(2)} a second`,
    );
  const question = { trace, profile, objectives, most, seed: options.seed, signal };
  if (options.replicas.length > 0) {
    const replicas = {
      ...Object.fromEntries(stages.map((stage) => [stage, 1])),
      ...perStage(options.replicas, profile, '--replicas', 1),
    };
    const result = simulate({ ...question, replicas });
    process.stdout.write(
      options.json
        ? `${JSON.stringify({ replicas, ...resultJson(result, objectives) }, undefined, 2)}\n`
        : `${resultText(result, objectives, replicas)}\n`,
    );
    return;
  }
  const advice = adviseOn({
    ...question,
    machineCores: options.machineCores,
    scales: options.scaling,
    tell: process.stderr.isTTY === true ? note : undefined,
  });
  const yaml = stringify(advice.values);
  if (options.values !== undefined && advice.holds) await writeFile(resolve(options.values), yaml);
  if (options.json) process.stdout.write(`${JSON.stringify(adviceJson(advice, objectives, profile), undefined, 2)}\n`);
  else process.stdout.write(adviceText(advice, objectives, profile, yaml));
  if (advice.holds) return;
  throw new HintedError(
    'UNSUPPORTED',
    advice.reasons[0] ?? 'nothing within the bounds holds the objective',
    'Allow more replicas with --max STAGE=N, or ask for less with --objective; the nearest is printed.',
  );
}

/** `--max llm=8 --max encoder=20`. @throws TesseraError CONFIG_INVALID */
function perStage(
  given: readonly string[],
  profile: Profile,
  flag: string,
  least: number,
): Partial<Record<StageName, number>> {
  const stages = stagesOf(profile);
  return Object.fromEntries(
    given.map((text) => {
      const [, name, value] = /^(\w+)=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
      const stage = stages.find((each) => each === name);
      const number = Number(value);
      if (
        stage === undefined ||
        !(number >= least && number <= mostReplicas) ||
        (least === 1 && !Number.isInteger(number))
      ) {
        throw new TesseraError(
          'CONFIG_INVALID',
          `${flag} ${text}: say STAGE=N; STAGE is one of ${stages.join(', ')}, N is ${least} to ${mostReplicas}`,
        );
      }
      return [stage, number];
    }),
  );
}

function withCosts(profile: Profile, { cost, costCoreHour }: AdviseCommandOptions): Profile {
  const hours = perStage(cost, profile, '--cost', 0);
  const priced = Object.entries(hours).map(([stage, hour]) => [stage, { ...profile[stage as StageName], hour }]);
  return { ...profile, coreHour: costCoreHour ?? profile.coreHour, ...Object.fromEntries(priced) };
}

function resultJson(result: SimulationResult, objectives: readonly Objective[]) {
  const { requests, answered, refused, seconds, stages, machineUtilisation, cost, events } = result;
  const quantiles = (what: 'ttft' | 'latency' | 'token') => {
    const { mean, quantile } = result[what];
    return { meanMs: mean, p50Ms: quantile(0.5), p95Ms: quantile(0.95), p99Ms: quantile(0.99) };
  };
  return {
    requests,
    answered,
    refused,
    seconds,
    ttft: quantiles('ttft'),
    latency: quantiles('latency'),
    token: quantiles('token'),
    objectives: objectives.map(({ text, most, valueIn, unit }) => ({
      text,
      most,
      value: valueIn(result),
      unit,
      holds: valueIn(result) <= most,
    })),
    stages,
    machineUtilisation,
    cost,
    events,
  };
}

function adviceJson(advice: Advice, objectives: readonly Objective[], profile: Profile) {
  const { holds, fixed, scaled, machine, machineIsBetter, values, reasons } = advice;
  return {
    holds,
    fixed: {
      replicas: fixed.replicas,
      costPerHour: hourlyCost({ profile }, fixed),
      ...resultJson(fixed.result, objectives),
    },
    scaled: scaled && { scaling: scaled.scaling, ...resultJson(scaled.result, objectives) },
    machine: machine && {
      ...resultJson(machine.result, objectives),
      cores: machine.cores,
      holds: machine.holds,
      cost: machine.cost,
    },
    machineIsBetter,
    values,
    reasons,
  };
}

function resultText(
  result: SimulationResult,
  objectives: readonly Objective[],
  replicas: Partial<Record<StageName, number>>,
): string {
  const held = objectives.map((objective) => {
    const value = objective.valueIn(result);
    return [objective.text, shown(objective, value), value <= objective.most ? 'yes' : 'no'];
  });
  const stages = Object.entries(result.stages).map(([name, { replicaHours, mostReplicas, utilisation, waitMs }]) => [
    name,
    String(replicas[name as StageName] ?? mostReplicas),
    `${(utilisation * 100).toFixed(0)} %`,
    waitMs.toFixed(1),
    replicaHours.toFixed(2),
  ]);
  return [
    table(['objective', 'comes to', 'holds'], held),
    '',
    table(['stage', 'replicas', 'busy', 'wait ms a request', 'replica hours'], stages),
  ].join('\n');
}

function adviceText(advice: Advice, objectives: readonly Objective[], profile: Profile, yaml: string): string {
  const { holds, fixed, scaled, machine, reasons } = advice;
  const hours = fixed.result.seconds / 3600;
  const rows = [
    ['fixed replicas', counts(fixed.replicas), fixed.result.cost.toFixed(2), (fixed.result.cost / hours).toFixed(2)],
  ];
  if (scaled !== undefined) {
    const stages = Object.entries(scaled.scaling).map(([stage, { min, max }]) => `${min} to ${max} ${stage}`);
    rows.push([
      'autoscaled',
      stages.join(', '),
      scaled.result.cost.toFixed(2),
      (scaled.result.cost / hours).toFixed(2),
    ]);
  }
  if (machine?.holds === true) {
    rows.push([
      'one machine',
      `${machine.cores} cores, ${counts(machine.replicas)}`,
      machine.cost.toFixed(2),
      (machine.cost / hours).toFixed(2),
    ]);
  }
  return [
    holds ? '' : 'NOT HELD: this is the nearest\n',
    resultText(fixed.result, objectives, fixed.replicas),
    '',
    table(['way', 'what', 'cost', 'an hour'], rows),
    '',
    ...reasons,
    ...(holds ? ['', `# Values of the chart tessera, for revision ${profile.revision}`, yaml.trimEnd()] : []),
    '',
  ].join('\n');
}
