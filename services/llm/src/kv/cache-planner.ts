import type { CacheLoad, CacheOperation, StepPlan } from '../model/step-plan.js';
import { KvSlots, type SlotOwner } from './kv-slots.js';
import { type CacheContent, commonPositions, type PrefixMatch, PrefixStore } from './prefix-store.js';

/** A sequence as far as the cache is concerned. */
export interface CacheOwner extends SlotOwner {
  /** What stands at its positions, those computed and those to come. */
  readonly content: CacheContent;
  /** How many of its first positions may be taken from the cache: at least the last one of a prompt is computed anew. */
  readonly reusable: number;
  /** So many of its first positions are taken from the cache. */
  resumeAt(positions: number): void;
  /** Its slot holds nothing of it. */
  restart(): void;
  /** Whether what was computed of it is sound, so that others may use it. */
  readonly isSound: boolean;
}

export interface CachePlannerOptions {
  /** The most sequences that have a slot. */
  readonly slots: number;
  /** What slots and kept beginnings may take together. */
  readonly maxBytes: number;
  /** Bytes of one kept position. */
  readonly positionBytes: number;
  /** Bytes of so many slots of so many positions. */
  readonly slotBytes: (slots: number, positions: number) => number;
  /** Whether beginnings are kept for later sequences, and taken from those that run. */
  readonly reusesPrefixes: boolean;
}

/** Where a sequence's first positions are taken from: what is kept, or another one's slot. */
type Source<O> = PrefixMatch | { readonly positions: number; readonly from: O };

/** What is shorter is as soon computed. */
const leastPositions = 16;

/**
 * Plans what the cache holds: which sequence has which slot, and which beginnings are kept of those that have left. What
 * it decides is told as data for the next step.
 */
export class CachePlanner<O extends CacheOwner> {
  readonly #options: CachePlannerOptions;
  readonly #slots: KvSlots<O>;
  #prefixes = new PrefixStore();
  #operations: CacheOperation[] = [];
  /** What goes into the slots of sequences that got one since the last step. */
  readonly #loads = new Map<O, Source<O>>();
  /** Bytes that slots take, as of the last plan. */
  #slotBytes = 0;
  /** What a plan wanted that found no memory: some layers may have it by now, and keep it for another step. */
  #wantedBytes = 0;

  constructor(options: CachePlannerOptions) {
    this.#options = options;
    this.#slots = new KvSlots(options.slots, {
      record: (operation) => this.#operations.push(operation),
      // What is still to be loaded goes to wherever the sequence is by then.
      rowsOf: (owner) => (this.#loads.has(owner) ? 0 : owner.cachedTokens),
    });
  }

  get inUse(): number {
    return this.#slots.inUse;
  }

  /** All that have a slot. */
  get owners(): readonly O[] {
    return this.#slots.owners();
  }

  /** Bytes of beginnings that are kept: what there is to be had when slots need it. */
  get keptBytes(): number {
    return this.#prefixes.positions * this.#options.positionBytes;
  }

  /** Whether the next plan leaves everything where it is. */
  get isSettled(): boolean {
    return this.#operations.length === 0 && this.#loads.size === 0 && this.keptBytes <= this.#roomBeside;
  }

  /** How many of a sequence's first positions it would take from the cache, had it a slot now. */
  expected(owner: O): number {
    return this.#source(owner)?.positions ?? 0;
  }

  /** Gives it a slot, and has it go on after what the cache has of it. */
  acquire(owner: O): void {
    const source = this.#source(owner);
    this.#slots.acquire(owner);
    const isTaken = source !== undefined && ('from' in source || this.#fitsBeside(source));
    owner.resumeAt(isTaken ? source.positions : 0);
    if (isTaken) this.#loads.set(owner, source);
  }

  promote(owner: O): void {
    this.#slots.promote(owner);
  }

  /** Takes the slot back, and keeps what was computed; does nothing where there is none. */
  release(owner: O): void {
    if (owner.slot < 0) return;
    this.#forgetLoads((source) => 'from' in source && source.from === owner);
    // What was to be loaded into it is not there.
    if (!this.#loads.delete(owner)) this.#keep(owner);
    this.#slots.release(owner);
  }

  /**
   * What is to be done to the cache for a step, to be carried out once.
   * @param positions what the longest sequence of the step comes to
   * @param heldBytes what slots hold now, which may be more than is needed
   */
  plan(positions: number, heldBytes: number): StepPlan['cache'] {
    const slots = this.#slots.inUse;
    const longest = Math.max(positions, this.#slots.longest());
    this.#slotBytes = Math.max(this.#options.slotBytes(slots, longest), heldBytes, this.#wantedBytes);
    this.#makeRoom();
    const operations = this.#operations;
    this.#operations = [];
    return { operations, slots, positions: longest, loads: [...this.#loads].map(cacheLoad) };
  }

  /** The step was carried out. */
  done(): void {
    this.#loads.clear();
    this.#wantedBytes = 0;
  }

  /**
   * The step found no memory: nothing was loaded.
   * @returns whether beginnings were kept, which give way before any sequence has to
   */
  failed(): boolean {
    const gaveWay = this.keptBytes > 0;
    this.#wantedBytes = this.#slotBytes;
    this.#forgetLoads(() => true);
    for (let prefix = this.#prefixes.oldest(); prefix !== undefined; prefix = this.#prefixes.oldest()) {
      this.#prefixes.forget(prefix);
      this.#drop(prefix);
    }
    return gaveWay;
  }

  /** The cache is empty, and so it is planned from here on: nobody has a slot, and nothing is kept. */
  lost(): void {
    this.#slots.clear();
    this.#prefixes = new PrefixStore();
    this.#operations = [];
    this.#loads.clear();
  }

  /** Bytes that slots leave to what is kept. */
  get #roomBeside(): number {
    return Math.max(0, this.#options.maxBytes - this.#slotBytes);
  }

  #source(owner: O): Source<O> | undefined {
    if (!this.#options.reusesPrefixes || owner.reusable < leastPositions) return undefined;
    const { content, reusable } = owner;
    const kept = this.#prefixes.longest(content, reusable);
    let best: Source<O> | undefined = kept;
    for (const other of this.#slots.owners()) {
      if (other === owner || other.content.scope !== content.scope || this.#loads.has(other)) continue;
      const most = Math.min(reusable, other.cachedTokens);
      const positions = commonPositions(other.content.keys, content.keys, most);
      if (positions > (best?.positions ?? 0)) best = { positions, from: other };
    }
    return best !== undefined && best.positions >= leastPositions ? best : undefined;
  }

  #keep({ slot, cachedTokens, isSound, content: { scope, keys } }: O): void {
    if (!this.#options.reusesPrefixes || !isSound) return;
    const unknown = keys.findIndex(Number.isNaN);
    const rows = Math.min(cachedTokens, keys.length, unknown < 0 ? keys.length : unknown);
    const room = this.#options.maxBytes - this.#slotBytes;
    if (rows < leastPositions || rows * this.#options.positionBytes > room) return;
    const kept = this.#prefixes.keep({ scope, keys: keys.slice(0, rows) });
    if (kept === undefined) return;
    for (const prefix of kept.replaced) this.#drop(prefix);
    this.#makeRoom();
    // Where all others are about to be taken up it was given up itself.
    if (this.#prefixes.positionsOf(kept.id) > 0) this.#operations.push({ type: 'keep', slot, rows, prefix: kept.id });
  }

  /**
   * Evicts beginnings until what is kept fits beside the slots. What is about to be taken up stays, even where that is
   * more than there may be for the length of a step: whoever counts on it is planned already.
   */
  #makeRoom(): void {
    const isTaken = (id: number): boolean =>
      [...this.#loads.values()].some((source) => 'id' in source && source.id === id);
    while (this.keptBytes > this.#roomBeside) {
      const prefix = this.#prefixes.oldest(isTaken);
      if (prefix === undefined) return;
      this.#prefixes.forget(prefix);
      this.#drop(prefix);
    }
  }

  /** Whether slots of the length that a beginning needs leave room for it, all others given up if they must. */
  #fitsBeside({ id, positions }: PrefixMatch): boolean {
    this.#prefixes.touch(id);
    const { slotBytes, maxBytes, positionBytes } = this.#options;
    const needed = slotBytes(this.#slots.inUse, Math.max(positions + 1, this.#slots.longest()));
    return needed + this.#prefixes.positionsOf(id) * positionBytes <= maxBytes;
  }

  #drop(prefix: number): void {
    this.#operations.push({ type: 'drop', prefix });
    this.#forgetLoads((source) => 'id' in source && source.id === prefix);
  }

  /** Those that counted on it begin at their first position. */
  #forgetLoads(isLost: (source: Source<O>) => boolean): void {
    for (const [owner, source] of this.#loads) {
      if (!isLost(source)) continue;
      this.#loads.delete(owner);
      owner.restart();
    }
  }
}

function cacheLoad<O extends CacheOwner>([owner, source]: readonly [O, Source<O>]): CacheLoad {
  const { positions: rows } = source;
  return 'id' in source
    ? { type: 'restore', prefix: source.id, slot: owner.slot, rows }
    : { type: 'copy', from: source.from.slot, to: owner.slot, rows };
}
