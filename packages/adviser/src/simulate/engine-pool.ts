import type { Cores } from './cores.js';
import { Engine, type EngineOptions, type EngineTotals } from './engine.js';
import { Replicas } from './replicas.js';
import type { Signals } from './scaling.js';

export interface EnginePoolOptions extends Omit<EngineOptions, 'cores' | 'totals' | 'idle'> {
  /** Of a new engine. */
  cores(): Cores;
}

/** An engine with what has been sent to it and is not there yet. */
export interface PooledEngine {
  engine: Engine;
  coming: number;
}

/** The engines, of which a gateway picks one of two at random: the one with less to do. */
export class EnginePool {
  readonly replicas: Replicas<PooledEngine>;
  readonly #totals: EngineTotals = { busyMs: 0, steps: 0, prefillTokens: 0, decodeTokens: 0, waitedMs: 0 };

  constructor(
    private readonly options: EnginePoolOptions,
    private readonly uniform: () => number,
  ) {
    this.replicas = new Replicas<PooledEngine>({
      events: options.events,
      startMs: options.profile.startSeconds * 1000,
      make: () => this.#make(),
      joins: () => undefined,
      drains: (pooled) => {
        pooled.engine.draining = true;
        return loadOf(pooled) === 0;
      },
    });
  }

  /** What an autoscaler sees. */
  get signals(): Signals {
    let waiting = 0;
    let kvUsage = 0;
    for (const { engine } of this.replicas.ready) {
      waiting += engine.waiting;
      kvUsage += engine.kvUsage;
    }
    return { waiting, kvUsage };
  }

  get result() {
    const { busyMs, waitedMs } = this.#totals;
    return { replicas: this.replicas, busyMs, waitedMs };
  }

  /** The engine for a request of so many choices, counted there; undefined where none has room. */
  pick(choices: number, hasPictures: boolean): PooledEngine | undefined {
    const { ready } = this.replicas;
    const { maxRunning, maxWaiting } = this.options.profile;
    const hasRoom = (pooled: PooledEngine): boolean =>
      loadOf(pooled) + choices <= maxRunning + maxWaiting && !pooled.engine.isFull(hasPictures);
    const one = ready[Math.floor(this.uniform() * ready.length)];
    const other = ready[Math.floor(this.uniform() * ready.length)];
    if (one === undefined || other === undefined) return undefined;
    const [less, more] = loadOf(one) <= loadOf(other) ? [one, other] : [other, one];
    const picked = hasRoom(less) ? less : hasRoom(more) ? more : ready.find(hasRoom);
    if (picked !== undefined) picked.coming += choices;
    return picked;
  }

  #make(): PooledEngine {
    const pooled = { coming: 0 } as PooledEngine;
    pooled.engine = new Engine({
      ...this.options,
      cores: this.options.cores(),
      totals: this.#totals,
      idle: () => {
        if (pooled.engine.draining && loadOf(pooled) === 0) this.replicas.left();
      },
    });
    return pooled;
  }
}

function loadOf({ engine, coming }: PooledEngine): number {
  return engine.load + coming;
}
