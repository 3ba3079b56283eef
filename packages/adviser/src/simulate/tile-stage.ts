import { costOf } from '../profile/cost-of.js';
import type { CostCurve } from '../profile/profile.js';
import type { Cores } from './cores.js';
import type { Events } from './events.js';
import { Fifo } from './fifo.js';
import { Replicas } from './replicas.js';
import { type Puller, WorkQueue } from './work-queue.js';

/** Tiles of one picture that one replica computes. */
export interface TileJob {
  readonly tiles: number;
  /** Of reading and preparing them, in milliseconds of a core. */
  readonly prepareMs: number;
  /** One of them is done. */
  tileDone(): void;
}

export interface TileStageOptions {
  readonly events: Events;
  /** Of a new replica. */
  cores(): Cores;
  readonly profile: {
    readonly batchMs: CostCurve;
    readonly maxBatch: number;
    readonly waitMs: number;
    readonly slots: number;
    readonly startSeconds: number;
  };
}

/** Encoders or connectors: replicas that pull jobs, and compute the tiles of different jobs together. */
export class TileStage {
  readonly queue: WorkQueue<TileJob>;
  readonly replicas: Replicas<TileReplica>;
  /** Milliseconds that the networks of all replicas were busy, and the tiles that they computed. */
  busyMs = 0;
  tiles = 0;
  /** Milliseconds that tiles waited for a batch. */
  waitedMs = 0;

  constructor(readonly options: TileStageOptions) {
    const { events, profile } = options;
    this.queue = new WorkQueue(events);
    this.replicas = new Replicas({
      events,
      startMs: profile.startSeconds * 1000,
      make: () => new TileReplica(this),
      joins: (replica) => this.queue.offer(replica),
      drains: (replica) => {
        replica.draining = true;
        return replica.isIdle;
      },
    });
  }
}

interface WaitingTile {
  readonly job: TileJob;
  readonly work: { left: number };
  readonly sinceMs: number;
}

/** One process: prepares jobs side by side, and computes a batch at a time. */
class TileReplica implements Puller<TileJob> {
  free: number;
  draining = false;
  inLine = false;
  readonly #cores: Cores;
  readonly #batchMs: (tiles: number) => number;
  readonly #tiles = new Fifo<WaitingTile>();
  #preparing = 0;
  #computes = false;
  #timer = false;

  constructor(private readonly stage: TileStage) {
    const { cores, profile } = stage.options;
    this.#cores = cores();
    this.#batchMs = costOf(profile.batchMs);
    this.free = profile.slots;
  }

  get isIdle(): boolean {
    return this.free === this.stage.options.profile.slots;
  }

  take(job: TileJob): void {
    this.#preparing++;
    const work = { left: job.tiles };
    this.#cores.run(job.prepareMs, () => {
      this.#preparing--;
      const sinceMs = this.stage.options.events.now;
      for (let tile = 0; tile < job.tiles; tile++) this.#tiles.push({ job, work, sinceMs });
      this.#compute();
    });
  }

  /** Begins a batch if it may: a full one, one that others would not come to in time, or one that nobody is to come to. */
  #compute(): void {
    const { events, profile } = this.stage.options;
    const first = this.#tiles.first;
    if (this.#computes || first === undefined) return;
    const leftMs = first.sinceMs + profile.waitMs - events.now;
    if (this.#tiles.length < profile.maxBatch && this.#preparing > 0 && leftMs > 0) {
      if (this.#timer) return;
      this.#timer = true;
      events.in(leftMs, () => {
        this.#timer = false;
        this.#compute();
      });
      return;
    }
    const batch: WaitingTile[] = [];
    while (batch.length < profile.maxBatch) {
      const tile = this.#tiles.shift();
      if (tile === undefined) break;
      this.stage.waitedMs += events.now - tile.sinceMs;
      batch.push(tile);
    }
    const ms = this.#batchMs(batch.length);
    this.#computes = true;
    this.stage.busyMs += ms;
    this.stage.tiles += batch.length;
    this.#cores.run(ms, () => this.#computed(batch));
  }

  #computed(batch: readonly WaitingTile[]): void {
    this.#computes = false;
    for (const { job, work } of batch) {
      job.tileDone();
      if (--work.left === 0) this.stage.queue.settled(this);
    }
    this.#compute();
    if (this.draining && this.isIdle) this.stage.replicas.left();
  }
}
