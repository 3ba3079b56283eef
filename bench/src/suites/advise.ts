import { availableParallelism } from 'node:os';
import {
  type SimulationResult,
  type SyntheticTrace,
  simulate,
  syntheticDefaults,
  syntheticRequests,
  Trace,
} from '@tessera/adviser';
import { Asker, Meter, measureProfile, type Spent, serviceNames } from '@tessera/cli';
import { LocalDeployment } from '@tessera/cli/testing/local-deployment';
import { demoBundle } from '@tessera/compiler/testing/demo-model';
import { drawSomething } from '../prompts.js';
import type { Cell, Section } from '../report.js';
import { quantiles } from '../statistics.js';
import { type Parts, type Replayed, replay, traceOf } from '../subjects/replayed-trace.js';
import type { Suite, SuiteContext } from './suite.js';

interface Load extends Partial<SyntheticTrace> {
  readonly rate: number;
  readonly name: string;
  /** For this long. */
  readonly seconds: number;
}

const drawingSteps = 4;
const sizes = [
  { width: 96, height: 96 },
  { width: 320, height: 240 },
  { width: 640, height: 480 },
];

/** About a third of what two cores can do. */
const loads: readonly Load[] = [
  {
    name: 'text',
    rate: 5,
    seconds: 40,
    textTokens: { median: 60, sigma: 0.6, most: 400 },
    outputTokens: { median: 40, sigma: 0.6, most: 200 },
  },
  {
    name: 'pictures',
    rate: 4,
    seconds: 50,
    textTokens: { median: 30, sigma: 0.3, most: 100 },
    outputTokens: { median: 18, sigma: 0.4, most: 60 },
    pictureShare: 1,
    pictureSizes: sizes,
  },
  {
    name: 'mixed, with drawings',
    rate: 3,
    seconds: 60,
    textTokens: { median: 60, sigma: 0.6, most: 400 },
    outputTokens: { median: 40, sigma: 0.6, most: 200 },
    pictureShare: 0.3,
    pictureSizes: sizes,
    drawingShare: 0.1,
    drawingSteps,
  },
];

/** A measurement and its forecast. */
interface Compared {
  readonly what: string;
  readonly measured: number;
  readonly forecast: number;
}

/** How near the adviser's forecast comes to what is measured, on the deployment that it has a profile of. */
export const advise: Suite = {
  name: 'advise',
  about: 'what tessera advise forecasts for this machine against what is measured, under three loads',
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const bundle = await demoBundle('float32');
    await using deployment = await LocalDeployment.start({ bundleDir: bundle.dir });
    const stages = Object.fromEntries(
      serviceNames.map((name) => {
        const { grpc, metrics } = deployment.stack.address(name) ?? { grpc: '', metrics: '' };
        return [name, { grpc, metrics }];
      }),
    );
    const { signal } = new AbortController();
    const addresses = { stages, natsPid: deployment.pid('nats-server') };
    const drawingPrompt = drawSomething.text;
    const profile = await measureProfile({
      bundle,
      addresses,
      overrides: new Map(),
      drawingPrompt,
      effort: times(10) / 10,
      starts: false,
      placeSeconds: 0,
      signal,
      tell: (what) => say(`advise: ${what}`),
    });
    using asker = new Asker(deployment.gateway, signal, mutedTokens(bundle.manifest.llm.tokens.generationStart));
    const wordsFor = await asker.calibrate();
    const meter = new Meter(addresses, signal);
    await meter.calibrate();
    const rows: Cell[][] = [];
    const parts: Cell[][] = [];
    for (const { name, seconds, ...load } of loads) {
      const requests = times(Math.round(load.rate * seconds));
      say(`advise: ${name}, ${requests} requests, ${load.rate} a second`);
      const trace = Trace.from(syntheticRequests({ ...syntheticDefaults, ...load, requests }));
      let replayed: Replayed[] = [];
      const spent = await meter.during(async () => {
        replayed = await replay(asker, trace, { profile, drawingPrompt, wordsFor });
      });
      const { machineCores } = profile;
      const result = simulate({ trace: traceOf(replayed), profile, replicas: {}, machineCores });
      for (const { part, measured, forecast } of partsOf(replayed, result)) {
        const [ofMeasured, ofForecast] = [quantiles(measured), quantiles(forecast)];
        const at = [0.5, 0.95].flatMap((share) => [ofMeasured(share), ofForecast(share)]);
        parts.push([name, part, mean(measured), mean(forecast), ...at]);
      }
      for (const { what, measured, forecast } of [...compare(replayed, result), ...busyOf(replayed, spent, result)]) {
        rows.push([name, replayed.length, load.rate, what, measured, forecast, forecast / measured]);
      }
    }
    return [
      {
        title: 'Forecasts of tessera advise',
        notes: [
          'The deployment of the demo model, float32, is profiled as tessera profile does; then requests come by Poisson whatever becomes of',
          'those before, and the same requests come to the simulation of all stages on the cores of one machine.',
        ],
        columns: [
          { title: 'load' },
          { title: 'requests' },
          { title: '1/s' },
          { title: 'what' },
          { title: 'measured', digits: 1 },
          { title: 'forecast', digits: 1 },
          { title: 'ratio', digits: 2 },
        ],
        rows,
      },
      {
        title: 'What their times are made of',
        notes: [
          'Milliseconds of a request until its prompt begins to be computed, while that is, while its other tokens are written, and until its',
          'end. Of a prompt with pictures that begins with the first of it, while tiles are missing: measured with what is before the pictures,',
          'forecast with the first tile.',
        ],
        columns: [
          { title: 'load' },
          { title: 'part' },
          ...['mean', 'median', 'p95'].flatMap((of) => [
            { title: `${of}, measured`, digits: 1 },
            { title: `${of}, forecast`, digits: 1 },
          ]),
        ],
        rows: parts,
      },
    ];
  },
};

function mutedTokens(generationStart: number | undefined): number[] {
  return generationStart === undefined ? [] : [generationStart];
}

/** When the last answer had ended, in seconds since the first request came. */
function secondsOf(replayed: readonly Replayed[]): number {
  const lastMs = Math.max(...replayed.map(({ request, latencyMs }) => request.at * 1000 + latencyMs));
  return lastMs / 1000 - (replayed[0]?.request.at ?? 0);
}

/** How busy the engine and all processes were. Where the first is off, steps take longer in a load than in a profile. */
function busyOf(replayed: readonly Replayed[], spent: Spent, result: SimulationResult): Compared[] {
  const ms = secondsOf(replayed) * 1000;
  const cpuMs = [...spent.cpuMs.values()].reduce((sum, each) => sum + each, 0);
  const { llm } = result.stages;
  return [
    {
      what: 'engine busy, %',
      measured: (100 * spent.busyMs('llm')) / ms,
      forecast: 100 * (llm?.utilisation ?? Number.NaN),
    },
    {
      what: 'machine busy with it, %',
      measured: (100 * cpuMs) / ms / availableParallelism(),
      forecast: 100 * (result.machineUtilisation ?? Number.NaN),
    },
  ];
}

function compare(replayed: readonly Replayed[], result: SimulationResult): Compared[] {
  const ofTtft = quantiles(replayed.map(({ ttftMs }) => ttftMs));
  const ofLatency = quantiles(replayed.map(({ latencyMs }) => latencyMs));
  return [
    { what: 'first token, median ms', measured: ofTtft(0.5), forecast: result.ttft.quantile(0.5) },
    { what: 'first token, p95 ms', measured: ofTtft(0.95), forecast: result.ttft.quantile(0.95) },
    { what: 'whole answer, median ms', measured: ofLatency(0.5), forecast: result.latency.quantile(0.5) },
    { what: 'whole answer, p95 ms', measured: ofLatency(0.95), forecast: result.latency.quantile(0.95) },
    {
      what: 'answers a second',
      measured: replayed.length / secondsOf(replayed),
      forecast: result.answered / result.seconds,
    },
  ];
}

/** What a request's time is made of, as it was measured and as it was forecast. */
function partsOf(
  replayed: readonly Replayed[],
  result: SimulationResult,
): { readonly part: keyof Parts; readonly measured: number[]; readonly forecast: number[] }[] {
  const [begun, ttft, latency, token] = (['begun', 'ttft', 'latency', 'token'] as const).map((what) => [
    ...result.timesOf(what),
  ]) as [number[], number[], number[], number[]];
  const forecasts = replayed.map(({ request }, at): Parts => {
    const [before, first, whole] = [begun[at] as number, ttft[at] as number, latency[at] as number];
    const writing = request.outputTokens > 1 ? (token[at] as number) * (request.outputTokens - 1) : 0;
    return { before, prompt: first - before, writing, end: whole - first - writing };
  });
  return (['before', 'prompt', 'writing', 'end'] as const).map((part) => ({
    part,
    measured: replayed.map(({ parts }) => parts[part]),
    forecast: forecasts.map((each) => each[part]),
  }));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
