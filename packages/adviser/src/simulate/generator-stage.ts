import FlatQueue from 'flatqueue';
import { costOf } from '../profile/cost-of.js';
import type { Profile } from '../profile/profile.js';
import type { Cores } from './cores.js';
import type { Events } from './events.js';
import { Fifo } from './fifo.js';
import { Replicas } from './replicas.js';
import { StepLoop } from './step-loop.js';
import { type Puller, WorkQueue } from './work-queue.js';

export interface DrawJob {
  readonly steps: number;
  done(): void;
}

export interface GeneratorStageOptions {
  readonly events: Events;
  /** Of a new replica. */
  cores(): Cores;
  readonly profile: NonNullable<Profile['generator']>;
}

/** Generators: each advances the drawings that it has in work by a step at a time, and others join at the next one. */
export class GeneratorStage {
  readonly queue: WorkQueue<DrawJob>;
  readonly replicas: Replicas<GeneratorReplica>;
  busyMs = 0;
  /** Steps, counted for each drawing. */
  steps = 0;
  /** Milliseconds that drawings waited for a place in a batch. */
  waitedMs = 0;

  constructor(readonly options: GeneratorStageOptions) {
    const { events, profile } = options;
    this.queue = new WorkQueue(events);
    this.replicas = new Replicas({
      events,
      startMs: profile.startSeconds * 1000,
      make: () => new GeneratorReplica(this),
      joins: (replica) => this.queue.offer(replica),
      drains: (replica) => {
        replica.draining = true;
        return replica.isIdle;
      },
    });
  }
}

class GeneratorReplica implements Puller<DrawJob> {
  free: number;
  draining = false;
  inLine = false;
  readonly #waiting = new Fifo<{ readonly job: DrawJob; readonly sinceMs: number }>();
  /** Those in work by the step at which they are done. */
  readonly #running = new FlatQueue<DrawJob>();
  readonly #loop: StepLoop;
  #step = 0;

  constructor(private readonly stage: GeneratorStage) {
    const { events, cores, profile } = stage.options;
    const stepMs = costOf(profile.stepMs);
    this.free = profile.slots;
    this.#loop = new StepLoop({
      cores: cores(),
      plan: () => {
        while (this.#running.length < profile.maxBatch) {
          const next = this.#waiting.shift();
          if (next === undefined) break;
          stage.waitedMs += events.now - next.sinceMs;
          this.#running.push(next.job, this.#step + next.job.steps);
        }
        const ends = this.#running.peekValue();
        if (ends === undefined) return undefined;
        return { count: ends - this.#step, ms: stepMs(this.#running.length), besideMs: 0 };
      },
      done: (count) => this.#stepped(count, stepMs(this.#running.length)),
      beside: () => undefined,
    });
  }

  get isIdle(): boolean {
    return this.free === this.stage.options.profile.slots;
  }

  take(job: DrawJob): void {
    this.#waiting.push({ job, sinceMs: this.stage.options.events.now });
    if (this.#loop.isIdle || this.#running.length < this.stage.options.profile.maxBatch) this.#loop.wake();
  }

  #stepped(count: number, stepMs: number): void {
    this.#step += count;
    this.stage.busyMs += count * stepMs;
    this.stage.steps += count * this.#running.length;
    for (let ends = this.#running.peekValue(); ends !== undefined && ends <= this.#step; ) {
      const job = this.#running.pop() as DrawJob;
      job.done();
      this.stage.queue.settled(this);
      ends = this.#running.peekValue();
    }
    if (this.draining && this.isIdle) this.stage.replicas.left();
  }
}
