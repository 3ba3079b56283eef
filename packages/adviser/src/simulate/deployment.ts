import { randomNormal } from 'd3-random';
import { costOf } from '../profile/cost-of.js';
import type { Profile, StageName } from '../profile/profile.js';
import { seededUniform } from '../trace/synthetic.js';
import type { Trace, TraceRequest } from '../trace/trace.js';
import { type Cores, OwnCores, SharedCores } from './cores.js';
import { EnginePool } from './engine-pool.js';
import { Events } from './events.js';
import { GeneratorStage } from './generator-stage.js';
import { Journey, type Outcome, type Stages } from './journey.js';
import { PictureSizes } from './picture-sizes.js';
import type { Replicas } from './replicas.js';
import type { Signals } from './scaling.js';
import type { SimulationOptions, StageResult } from './simulation.js';
import { TileStage } from './tile-stage.js';

type Overhead = Profile['request'];

/** Every stage with its replicas, and requests on their way through them. */
export class Deployment implements Stages {
  readonly events = new Events();
  readonly profile: Profile;
  readonly engines: EnginePool;
  readonly encoder: TileStage | undefined;
  readonly connector: TileStage | undefined;
  readonly generator: GeneratorStage | undefined;
  readonly pictures: PictureSizes;
  readonly outcome: Outcome;
  /** When the last answer was complete. */
  endedMs = 0;
  #underWay = 0;
  #arrived = 0;
  readonly #trace: Trace;
  /** Of the one machine that all share, if they do. */
  readonly #machine: SharedCores | undefined;
  /** Of all gateways: each has one thread that says everything. */
  readonly #gateways: SharedCores;
  readonly #gatewayCount: number;
  #gatewayMs = 0;
  readonly #normal: () => number;
  readonly #besideMs: (answers: number) => number;

  constructor({ trace, profile, replicas, machineCores, seed = 1 }: SimulationOptions) {
    const { events } = this;
    this.profile = profile;
    this.#trace = trace;
    this.#gatewayCount = replicas.gateway ?? 1;
    this.#machine = machineCores === undefined ? undefined : new SharedCores(events, machineCores);
    this.#gateways = this.#machine ?? new SharedCores(events, this.#gatewayCount);
    // Not the numbers that engines are picked by: what varies more is to change nothing there.
    this.#normal = randomNormal.source(seededUniform(seed + 1))();
    this.#besideMs = costOf(profile.besideMs ?? []);
    this.pictures = new PictureSizes(profile.preprocessing);
    const none = (): Float64Array => new Float64Array(trace.length).fill(Number.NaN);
    this.outcome = { begunMs: none(), ttftMs: none(), latencyMs: none(), tokenMs: none(), answered: 0, refused: 0 };
    const cores = (): Cores => this.#machine ?? new OwnCores(events);
    const tokenMs = this.#machine === undefined ? profile.token.gatewayCpuMs : profile.token.cpuMs;
    const beside = (threads: number): void => this.#gateways.load(threads);
    this.engines = new EnginePool({ events, cores, profile: profile.llm, tokenMs, beside }, seededUniform(seed));
    this.encoder = profile.encoder && new TileStage({ events, cores, profile: profile.encoder });
    this.connector = profile.connector && new TileStage({ events, cores, profile: profile.connector });
    this.generator = profile.generator && new GeneratorStage({ events, cores, profile: profile.generator });
    for (const stage of ['encoder', 'connector', 'generator'] as const) {
      this[stage]?.replicas.begin(replicas[stage] ?? 1);
    }
    this.engines.replicas.begin(replicas.llm ?? 1);
  }

  get isDone(): boolean {
    return this.#arrived === this.#trace.length && this.#underWay === 0;
  }

  /** Has the first request come, and each have the next one come. */
  start(): void {
    if (this.#trace.length === 0) return;
    const beganAt = this.#trace.arrival(0);
    const next = (): void => {
      const index = this.#arrived++;
      this.#arrive(index, this.#trace.request(index));
      if (this.#arrived < this.#trace.length) {
        this.events.at((this.#trace.arrival(this.#arrived) - beganAt) * 1000, next);
      }
    };
    this.events.at(0, next);
  }

  /** What follows a stage's load, and by what. */
  scalable(stage: StageName): { replicas: Pick<Replicas<unknown>, 'wanted' | 'scaleTo'>; signals(): Signals } {
    if (stage === 'llm') return { replicas: this.engines.replicas, signals: () => this.engines.signals };
    const each = stage === 'gateway' ? undefined : this[stage];
    if (each === undefined) throw new RangeError(`${stage} is not scaled here`);
    return { replicas: each.replicas, signals: () => ({ jobs: each.queue.lag }) };
  }

  /** Something that is no stage's computation takes its time, then the rest goes on. */
  onTheWay({ ms, sigma, cpuMs, gatewayCpuMs }: Overhead, times: number, then: () => void, answers = 0): void {
    const { events } = this;
    const { besideMs = [], besideSigma } = this.profile;
    const chance = sigma === 0 && (answers === 0 || besideSigma === 0) ? 0 : this.#normal();
    const wholeMs = times * ms * Math.exp(sigma * chance);
    const busyMs = times * (this.#machine === undefined ? gatewayCpuMs : cpuMs);
    this.#gatewayMs += times * gatewayCpuMs;
    const first = Math.min(busyMs, wholeMs);
    const besideAt =
      answers === 0 || besideMs.length === 0
        ? 0
        : events.now + times * (ms + this.#besideMs(answers)) * Math.exp(besideSigma * chance);
    this.#gateways.run(first, () => {
      // What takes longer than the whole delay is done beside.
      if (busyMs > first) this.#gateways.run(busyMs - first, () => undefined);
      // Beside others it takes as long as was measured there, or as its share of the cores has it take: not both.
      events.at(Math.max(events.now + wholeMs - first, besideAt), then);
    });
  }

  later(ms: number, then: () => void): void {
    this.events.in(ms, then);
  }

  /** A request has got all that it asked for. */
  ended(tokens: number, choices: number): void {
    this.endedMs = this.events.now;
    this.#gatewayMs += tokens * this.profile.token.gatewayCpuMs;
    this.#underWay -= choices;
    this.outcome.answered++;
  }

  machineUtilisation(seconds: number): number | undefined {
    if (this.#machine === undefined || seconds === 0) return undefined;
    return this.#machine.busyMs / (this.#machine.cores * seconds * 1000);
  }

  /** @param seconds how long all of it took */
  resultOf(stage: StageName, seconds: number): StageResult {
    const requests = Math.max(1, this.outcome.answered);
    if (stage === 'gateway') {
      const replicaHours = (this.#gatewayCount * seconds) / 3600;
      const utilisation = seconds === 0 ? 0 : this.#gatewayMs / (this.#gatewayCount * seconds * 1000);
      return { replicaHours, mostReplicas: this.#gatewayCount, utilisation, waitMs: 0 };
    }
    const { replicas, busyMs, waitedMs } = stage === 'llm' ? this.engines.result : this.#pullingResult(stage);
    return {
      replicaHours: replicas.replicaMs / 3_600_000,
      mostReplicas: replicas.most,
      utilisation: replicas.replicaMs === 0 ? 0 : busyMs / replicas.replicaMs,
      waitMs: waitedMs / requests,
    };
  }

  #pullingResult(name: 'encoder' | 'connector' | 'generator') {
    const stage = this[name] as TileStage | GeneratorStage;
    return { replicas: stage.replicas, busyMs: stage.busyMs, waitedMs: stage.queue.waitedMs + stage.waitedMs };
  }

  #arrive(index: number, request: Required<TraceRequest>): void {
    const { choices, pictures } = request;
    const room = this.profile.gateway.maxInFlight * this.#gatewayCount;
    const engine = this.#underWay + choices > room ? undefined : this.engines.pick(choices, pictures.length > 0);
    if (engine === undefined) {
      this.outcome.refused++;
      return;
    }
    this.#underWay += choices;
    new Journey(this, index, request, engine).begin();
  }
}
