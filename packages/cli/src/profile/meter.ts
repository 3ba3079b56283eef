import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { StageName } from '@tessera/adviser';
import type { DeploymentAddresses } from './deployment.js';
import { metricsUrl, scrape } from './scrape.js';

/** Engines tell their counters twice a second. */
const settleMs = 700;
/** Of the kernel's clock, in which it tells processor time: a hundredth of a second everywhere that Node runs. */
const tickMs = 10;
const idleMs = 2000;

/** Whose time is counted: the services', NATS's, and that of this process, which asks. */
type ProcessName = StageName | 'nats' | 'asker';

/** What a deployment did while something was asked of it. */
export interface Spent {
  /** Processor time of each process, in milliseconds, without what they take where nothing is asked. */
  readonly cpuMs: ReadonlyMap<ProcessName, number>;
  /** Milliseconds that a stage's network was busy. */
  busyMs(stage: StageName): number;
  /** Batches that a stage computed, and the tiles or drawings in them. */
  batches(stage: StageName): { readonly count: number; readonly rows: number };
}

type Look = ReadonlyMap<ProcessName, { readonly cpuMs: number; readonly text: string }>;

/** Reads the metrics of every service before and after something. */
export class Meter {
  /** Of each process, for a millisecond in which nothing is asked. */
  #idle: ReadonlyMap<ProcessName, number> = new Map();

  constructor(
    private readonly addresses: DeploymentAddresses,
    private readonly signal: AbortSignal,
  ) {}

  /** Finds out what the processes take by themselves. */
  async calibrate(): Promise<void> {
    this.#idle = new Map();
    const startedAt = performance.now();
    const { cpuMs } = await this.during(() => pause(idleMs, undefined, { signal: this.signal }));
    const passedMs = performance.now() - startedAt;
    this.#idle = new Map([...cpuMs].map(([name, ms]) => [name, ms / passedMs]));
  }

  /** @throws TesseraError STAGE_UNAVAILABLE naming what cannot be read */
  async during(work: () => Promise<unknown>): Promise<Spent> {
    await pause(settleMs, undefined, { signal: this.signal });
    const startedAt = performance.now();
    const before = await this.#look();
    await work();
    await pause(settleMs, undefined, { signal: this.signal });
    const after = await this.#look();
    const passedMs = performance.now() - startedAt;
    const more = (stage: ProcessName, value: (text: string) => number): number =>
      value(after.get(stage)?.text ?? '') - value(before.get(stage)?.text ?? '');
    const sample = (stage: StageName, name: string): number =>
      more(stage, (text) => sumOf(text, name, `stage="${stage}"`));
    return {
      cpuMs: new Map(
        [...after].map(([name, { cpuMs }]) => [
          name,
          Math.max(0, cpuMs - (before.get(name)?.cpuMs ?? 0) - passedMs * (this.#idle.get(name) ?? 0)),
        ]),
      ),
      busyMs: (stage) => sample(stage, 'tessera_busy_seconds_total') * 1000,
      batches: (stage) => ({
        count: sample(stage, 'tessera_batch_size_count'),
        rows: sample(stage, 'tessera_batch_size_sum'),
      }),
    };
  }

  /** What a stage's gauge says now. */
  async gauge(stage: StageName, name: string): Promise<number> {
    return sumOf((await this.#look()).get(stage)?.text ?? '', name);
  }

  async #look(): Promise<Look> {
    const { stages, natsPid } = this.addresses;
    const looks = await Promise.all(
      Object.entries(stages).map(async ([stage, { metrics }]) => {
        const text = await scrape(metricsUrl(metrics), this.signal);
        return [
          stage as ProcessName,
          { cpuMs: sumOf(text, 'tessera_process_cpu_seconds_total') * 1000, text },
        ] as const;
      }),
    );
    const { user, system } = process.cpuUsage();
    const natsMs = natsPid === undefined ? 0 : await processorMs(natsPid);
    return new Map([
      ...looks,
      ['asker', { cpuMs: (user + system) / 1000, text: '' }],
      ['nats', { cpuMs: natsMs, text: '' }],
    ]);
  }
}

/** The sum of a metric's samples, of those with a label. */
function sumOf(text: string, name: string, label = ''): number {
  let sum = 0;
  for (const line of text.split('\n')) {
    if (!line.startsWith(name) || !line.includes(label)) continue;
    const [, value] = /^[\w:]+(?:\{.*\})? (\S+)/.exec(line) ?? [];
    const next = line[name.length];
    if (next === ' ' || next === '{') sum += Number(value);
  }
  return sum;
}

/** Processor time of a process on this machine; 0 where the kernel does not tell it. */
async function processorMs(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name, in brackets, may hold anything; user and system time are the 12th and 13th field behind it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * tickMs || 0;
}
