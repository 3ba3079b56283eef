import type { EngineRoster, KnownEngine } from '@tessera/bus';
import { remainingMs } from '@tessera/flow';
import { TesseraError } from '@tessera/protocol';
import { type EngineCalls, type EngineShare, type LlmClient, PooledEngine } from './pooled-engine.js';
import { type LinePlace, WaitingLine } from './waiting-line.js';

/** One engine, reserved for one attempt of one request. */
export interface EngineLease {
  readonly engineId: string;
  readonly client: LlmClient;
  /** Where visual tokens for it are sent. */
  readonly inbox: string;
  /** Aborts with STAGE_UNAVAILABLE when the engine has fallen silent. */
  readonly silence: AbortSignal;
  /** All visual tokens are there: what was no load before is one now. */
  complete(): void;
  release(): void;
  /** The engine did not answer: nobody is sent there before it announces itself again. */
  lost(): void;
  /** The engine said that it is full: nobody is sent there before its next announcement. */
  full(): void;
}

/** Who asks for an engine. */
export interface EngineSeeker {
  /** An engine that may have the conversation in its cache: it is taken unless others have less to do. */
  readonly prefer?: string | undefined;
  /** Engines that failed this request already; they are taken only when no other takes work. */
  readonly avoid: ReadonlySet<string>;
  /** Goes on with an answer that another engine began: it comes before newcomers, and waits where they are refused. */
  readonly takeover: boolean;
  /** Waits where newcomers are refused, as every takeover does, but does not come before them. */
  readonly waits?: boolean;
  /** Whether visual tokens are to come before it can be answered: an engine has room of its own for those who wait. */
  readonly awaitsTiles: boolean;
  /** Unix milliseconds. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

export interface EnginePoolOptions {
  /** How long a newcomer waits for an engine while none is expected. */
  readonly waitMs: number;
  /** For this long after the last word of any engine one is expected back. */
  readonly expectMs: number;
  /** When a place comes free, for those who are refused. */
  readonly retryAfterMs: () => number;
  /** A clause that says which engines are there that are not to be had; empty where there are none. */
  readonly strangers?: () => string;
  /** How engines are called: with TLS or without, which is what an absent one says. */
  readonly calls?: EngineCalls;
  /** From 0 up to 1; of two engines taken at random the one with less to do gets the request. */
  readonly random?: () => number;
}

/** What all engines that take work have and hold together. */
export interface EngineOutlook {
  readonly engines: number;
  /** Sequences that run at once. */
  readonly slots: number;
  /** Sequences that are admitted, those that wait included. */
  readonly places: number;
  /** Sequences admitted, or sure to come: those of this gateway that have no engine yet included. */
  readonly load: number;
  /** Sequences of this gateway that wait for visual tokens, and are no load yet. */
  readonly awaitingTiles: number;
}

type SeekerPlace = LinePlace & Pick<EngineSeeker, 'awaitsTiles'>;

/** Ended this long before the deadline, so that the caller learns what was missing. */
const noticeMs = 250;

/** Random pairs that are looked at before every engine is. */
const maxPairs = 2;

/**
 * Picks the engine for an attempt. Of two at random the one with the smaller share of its slots in use is taken: gateways
 * that know the same announcements do not all choose alike, and no choice looks at every engine.
 */
export class EnginePool {
  private readonly engines = new Map<string, PooledEngine>();
  private readonly line = new WaitingLine<EngineLease, SeekerPlace>();
  private readonly totals: EngineShare = { slots: 0, places: 0, load: 0, awaitingTiles: 0 };
  private readonly random: () => number;
  private readonly forget: () => void;
  private readonly onPresences = new Set<(there: boolean) => void>();
  private isAnyThere: boolean;
  private reserved = 0;

  constructor(
    private readonly roster: EngineRoster,
    private readonly options: EnginePoolOptions,
  ) {
    this.random = options.random ?? Math.random;
    for (const engine of roster.ready) this.hear(engine);
    this.isAnyThere = roster.ready.length > 0;
    this.forget = roster.onChange((engine, news) => {
      if (news === 'heard') this.hear(engine);
      else this.remove(engine, news);
      this.notePresence();
    });
  }

  /**
   * Tells the listener whether any engine takes work, at once and each time that this changes.
   * @returns how to stop that
   */
  watchPresence(listener: (there: boolean) => void): Disposable {
    this.onPresences.add(listener);
    listener(this.isAnyThere);
    return { [Symbol.dispose]: () => this.onPresences.delete(listener) };
  }

  /** What there is to be had. */
  outlook(): EngineOutlook {
    const { slots, places, load, awaitingTiles } = this.totals;
    return { engines: this.roster.ready.length, slots, places, load: load + this.reserved, awaitingTiles };
  }

  /** Counts a request whose engine is not chosen yet; dispose of it when it has one, or needs none. */
  reserve(): Disposable {
    this.reserved++;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.reserved--;
        held = false;
      },
    };
  }

  /**
   * Reserves an engine; waits for one to appear, a takeover also for one with room.
   * @throws TesseraError STAGE_UNAVAILABLE when none announces itself in time; QUEUE_FULL when all are full
   */
  async acquire(seeker: EngineSeeker): Promise<EngineLease> {
    const { takeover, deadlineMs, signal } = seeker;
    const waits = takeover || seeker.waits === true;
    signal.throwIfAborted();
    const engine = this.preferred(seeker, this.choose(seeker));
    if (engine !== undefined) return this.lease(engine, seeker);
    if (!waits && this.roster.ready.length > 0) throw this.refusal();
    const untilDeadlineMs = Math.max(0, remainingMs(deadlineMs) - noticeMs);
    const waitMs = waits || this.isEngineExpected ? untilDeadlineMs : Math.min(untilDeadlineMs, this.options.waitMs);
    const lease = await this.line.wait({ ...seeker, first: takeover }, waitMs, signal);
    if (lease === undefined) throw this.refusal();
    return lease;
  }

  close(): void {
    this.forget();
    for (const engine of this.engines.values()) engine.close();
    this.engines.clear();
  }

  /** Whether an engine was there a short while ago: it is being started again, or will be. */
  private get isEngineExpected(): boolean {
    const heardAtMs = this.roster.lastHeardAtMs;
    return heardAtMs !== undefined && performance.now() - heardAtMs < this.options.expectMs;
  }

  private refusal(): TesseraError {
    if (this.roster.ready.length > 0) {
      const { places, load } = this.totals;
      const message = `every llm engine is full: ${load} sequences are admitted, and ${places} is the limit`;
      return new TesseraError('QUEUE_FULL', message, { retryAfterMs: this.options.retryAfterMs(), stage: 'llm' });
    }
    const missing = this.isEngineExpected
      ? 'the llm engine that was there is not back'
      : 'no llm engine of this model has announced itself';
    const strangers = this.options.strangers?.() ?? '';
    const help = strangers === '' ? 'check that the llm service runs and reaches the same NATS' : strangers;
    return new TesseraError('STAGE_UNAVAILABLE', `${missing}; ${help}`, { retryAfterMs: 1000, stage: 'llm' });
  }

  private choose({ avoid, takeover }: EngineSeeker): PooledEngine | undefined {
    const { ready } = this.roster;
    if (ready.length === 0) return undefined;
    for (let pair = 0; pair < maxPairs; pair++) {
      const one = this.below(ready.length);
      const other = (one + 1 + this.below(ready.length - 1)) % ready.length;
      const engine = lighter(this.candidate(one, avoid), this.candidate(other, avoid));
      if (engine !== undefined) return engine;
    }
    // Nearly all are full, or there are few: each is looked at.
    const all = ready.map((engine) => this.pooled(engine));
    const fresh = all.filter(({ id }) => !avoid.has(id));
    const roomy = (engine: PooledEngine): boolean => !engine.isFull;
    return (
      least(fresh.filter(roomy)) ??
      least(all.filter(roomy)) ??
      // An engine takes what goes on before what is new, also where it has no room for that.
      (takeover ? least(all.filter(({ hasRefused }) => !hasRefused)) : undefined)
    );
  }

  /** A free slot there is worth more than an idle engine; where it has none, the one is taken that has less to do. */
  private preferred({ prefer, avoid }: EngineSeeker, chosen: PooledEngine | undefined): PooledEngine | undefined {
    const engine = prefer === undefined || avoid.has(prefer) ? undefined : this.engines.get(prefer);
    if (engine === undefined || !engine.isReady || engine.isFull || chosen === undefined) return chosen;
    return engine.pressure < 1 ? engine : lighter(engine, chosen);
  }

  /** Undefined when the engine is full or to be avoided. */
  private candidate(place: number, avoid: ReadonlySet<string>): PooledEngine | undefined {
    const engine = this.pooled(this.roster.ready[place] as KnownEngine);
    return engine.isFull || avoid.has(engine.id) ? undefined : engine;
  }

  private below(count: number): number {
    return Math.floor(this.random() * count);
  }

  private lease(engine: PooledEngine, { awaitsTiles }: Pick<EngineSeeker, 'awaitsTiles'>): EngineLease {
    let isComplete = !awaitsTiles;
    const client = engine.begin({ isComplete });
    this.recount(engine);
    let released = false;
    return {
      engineId: engine.id,
      client,
      inbox: engine.inbox,
      silence: engine.silence,
      complete: () => {
        if (released || isComplete) return;
        isComplete = true;
        engine.complete();
        this.recount(engine);
      },
      release: () => {
        if (released) return;
        released = true;
        engine.end({ isComplete });
        this.recount(engine);
        this.offer(engine);
      },
      lost: () => this.roster.forget(engine.id),
      full: () => {
        engine.refuse();
        this.recount(engine);
      },
    };
  }

  private notePresence(): void {
    const there = this.roster.ready.length > 0;
    if (there === this.isAnyThere) return;
    this.isAnyThere = there;
    for (const listener of this.onPresences) listener(there);
  }

  private hear(known: KnownEngine): void {
    const engine = this.pooled(known);
    engine.heard();
    this.recount(engine);
    this.offer(engine);
  }

  /** Gives an engine's free places to those who wait. */
  private offer(engine: PooledEngine): void {
    if (!engine.isReady) return;
    this.line.offer((place) => {
      const { avoid, first } = place;
      if (engine.isFull && !(first && !engine.hasRefused)) return undefined;
      if (avoid.has(engine.id) && this.hasOther(avoid)) return undefined;
      return this.lease(engine, place);
    });
  }

  /** Whether an engine takes work that is none of these. */
  private hasOther(avoid: ReadonlySet<string>): boolean {
    const { ready } = this.roster;
    return ready.length > avoid.size || ready.some(({ status }) => !avoid.has(status.engineId));
  }

  private pooled(known: KnownEngine): PooledEngine {
    const { engineId } = known.status;
    let engine = this.engines.get(engineId);
    if (engine === undefined) {
      engine = new PooledEngine(known, this.options.calls);
      this.engines.set(engineId, engine);
    }
    return engine;
  }

  private remove({ status }: KnownEngine, cause: 'silent' | 'forgotten'): void {
    const engine = this.engines.get(status.engineId);
    if (engine === undefined) return;
    this.engines.delete(status.engineId);
    engine.remove(cause);
    this.recount(engine);
  }

  /** Brings an engine's share of the totals up to date. */
  private recount(engine: PooledEngine): void {
    const before = engine.counted;
    engine.counted = engine.share();
    for (const what of ['slots', 'places', 'load', 'awaitingTiles'] as const) {
      this.totals[what] += engine.counted[what] - before[what];
    }
  }
}

/** The one with the smaller share of its slots in use. */
function lighter(one: PooledEngine | undefined, other: PooledEngine | undefined): PooledEngine | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return other.pressure < one.pressure ? other : one;
}

function least(engines: readonly PooledEngine[]): PooledEngine | undefined {
  return engines.reduce<PooledEngine | undefined>(lighter, undefined);
}
