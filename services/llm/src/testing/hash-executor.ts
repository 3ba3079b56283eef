import { TesseraError } from '@tessera/protocol';
import { HostKvStorage } from '../model/host-kv-storage.js';
import { KeptPrefixes } from '../model/kept-prefixes.js';
import type { ModelExecutor } from '../model/model-executor.js';
import type { ComputedRow, PlannedRow, StepPlan, StepResult } from '../model/step-plan.js';
import { Turns } from '../model/turns.js';

/** The tokens of the model below: those under `draw` are letters. */
export const hashTokens = { count: 40, draw: 38, end: 39 };
const manyStates = 65_521;

/**
 * What a position comes to, from the one before it (1 before the first) and from what stands there.
 * @param states of how many numbers it is one; with few, texts soon repeat themselves
 */
export function hashOf(before: number, value: number, states = manyStates): number {
  return (before * 31 + value + 7) % states;
}

/** The token that is chosen after a position. */
export function tokenAfter(hash: number): number {
  const choice = hash % 97;
  if (choice === 0) return hashTokens.end;
  return choice < 6 ? hashTokens.draw : choice % hashTokens.draw;
}

export interface HashExecutorOptions {
  readonly slots: number;
  readonly maxPositions: number;
  /** Slots and kept beginnings may not take more once they are as planned. */
  readonly maxBytes: number;
  /** Asked at each allocation whether there is memory for it. */
  readonly hasMemory: () => boolean;
  /** As `hashOf` takes them. */
  readonly states?: number;
  /** Asked at each step whether the cache is lost by it, and with it a part of the model for some milliseconds. */
  readonly losesCache: () => number | undefined;
  /** How many steps it takes at a time; absent: one. */
  readonly stepsAtOnce?: number | undefined;
}

/**
 * A model that costs nothing and forgives nothing: each position is a hash of all before it, which is read from the cache
 * that engines plan, real but for what it holds. A row that is not what its position says, wherever it came from, changes
 * every token after it. Hidden size 1: the hash.
 */
export class HashExecutor implements ModelExecutor {
  readonly vocabSize = hashTokens.count;
  readonly hiddenSize = 1;
  readonly positionBytes = 16;
  /** What was not as it must be. */
  readonly problems = new Set<string>();
  readonly #kv: HostKvStorage;
  readonly #kept: KeptPrefixes;
  missing: TesseraError | undefined;
  /** How often a step began beside others. */
  besides = 0;
  readonly #turns = new Turns();
  readonly #underWay = new Set<StepPlan>();
  #losses = 0;
  #lost = new TesseraError('STAGE_UNAVAILABLE', 'a part of the model is away');
  #onChange = (): void => {};

  constructor(private readonly options: HashExecutorOptions) {
    const { slots, maxPositions, hasMemory } = options;
    let isOpen = false;
    this.#kv = new HostKvStorage({ layers: 2, slots, kvHeads: 1, headDim: 1, maxRows: maxPositions }, (length) => {
      if (isOpen && !hasMemory()) throw new RangeError('Array buffer allocation failed');
      // No position hashes to that.
      return new Float32Array(length).fill(-5);
    });
    this.#kept = new KeptPrefixes(this.#kv);
    isOpen = true;
  }

  get cacheBytes(): ModelExecutor['cacheBytes'] {
    return { slots: this.#kv.bytes, kept: this.#kept.bytes };
  }

  slotBytesFor(slots: number, positions: number): number {
    return this.#kv.bytesFor(slots, positions);
  }

  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  get stepsAtOnce(): number {
    return this.options.stepsAtOnce ?? 1;
  }

  async execute(plan: StepPlan): Promise<StepResult> {
    if (this.missing !== undefined) this.problems.add('a step was asked for while a part was missing');
    this.#checkBeside(plan);
    const losses = this.#losses;
    this.#underWay.add(plan);
    if (this.#underWay.size > 1) this.besides++;
    const result = await this.#turns.take(async () => {
      // As a step in another process: messages are taken in meanwhile.
      await new Promise((resolve) => setImmediate(resolve));
      return this.#losses === losses ? this.#execute(plan) : { cacheLost: this.#lost };
    });
    this.#underWay.delete(plan);
    return result;
  }

  #execute({ cache, rows }: StepPlan): StepResult {
    const lostMs = this.options.losesCache();
    if (lostMs !== undefined) return { cacheLost: this.#lose(lostMs) };
    const noMemory = cache.isDone === true ? undefined : this.#prepare(cache);
    if (noMemory !== undefined) return { noMemory };
    if (rows.some(({ slot, position, tokenIds }) => !this.#kv.holds(slot, position + tokenIds.length))) {
      this.problems.add('a row has no room in the cache');
    }
    return { rows: rows.map((row) => this.#compute(row)) };
  }

  /** What begins beside others leaves slots to them, and the cache as it is. */
  #checkBeside({ cache, rows }: StepPlan): void {
    if (this.#underWay.size === 0) return;
    if (this.#underWay.size >= this.stepsAtOnce) this.problems.add('more steps at once than there may be');
    for (const other of [...this.#underWay, { cache, rows }]) {
      if (other.cache.isDone !== true) this.problems.add('a step beside another one changes the cache');
    }
    const taken = new Set([...this.#underWay].flatMap((other) => other.rows.map(({ slot }) => slot)));
    if (rows.some(({ slot }) => taken.has(slot))) this.problems.add('two steps at once compute one slot');
  }

  async release(): Promise<void> {}

  #lose(forMs: number): TesseraError {
    const { slots, maxRows } = this.#kv;
    this.#kept.clear();
    for (const layer of [0, 1]) {
      for (let slot = 0; slot < slots && this.#kv.holds(slot, 1); slot++) {
        this.#kv.keys(layer, slot, 1).fill(-5, 0, maxRows);
        this.#kv.values(layer, slot, 1).fill(-5, 0, maxRows);
      }
    }
    const error = new TesseraError('STAGE_UNAVAILABLE', 'a part of the model is away');
    this.missing = error;
    this.#lost = error;
    this.#losses++;
    setTimeout(() => {
      this.missing = undefined;
      this.#onChange();
    }, forMs);
    return error;
  }

  #prepare({ operations, slots, positions, loads }: StepPlan['cache']): unknown {
    let failed: unknown;
    for (const operation of operations) {
      try {
        if (operation.type === 'copy') this.#kv.copy(operation.from, operation.to, operation.rows);
        if (operation.type === 'swap') this.#kv.swap(operation.a, operation.b, operation.rows);
        if (operation.type === 'keep') this.#kept.keep(operation.prefix, operation.slot, operation.rows);
        if (operation.type === 'drop') this.#kept.drop(operation.prefix);
      } catch (reason) {
        if (operation.type !== 'keep') this.problems.add(`${operation.type} failed`);
        failed = reason;
      }
    }
    if (failed !== undefined) return failed;
    try {
      this.#kv.fit(slots, positions);
    } catch (reason) {
      return reason;
    }
    for (const load of loads) {
      if (load.type === 'copy') this.#kv.copy(load.from, load.to, load.rows);
      else this.#kept.restore(load.prefix, load.slot, load.rows);
    }
    const bytes = this.#kv.bytes + this.#kept.bytes;
    // What is being taken up is there twice for the length of a step.
    if (loads.length === 0 && bytes > this.options.maxBytes) this.problems.add('more bytes than there may be');
    return undefined;
  }

  #compute({ slot, position, tokenIds, media, wantedLogits, wantsHidden }: PlannedRow): ComputedRow {
    const values = [...tokenIds];
    for (const { column, rows } of media) for (const [n, value] of rows.entries()) values[column + n] = value;
    let hash = position === 0 ? 1 : this.#at(slot, position - 1);
    const hashes = values.map((value, n) => {
      hash = hashOf(hash, value, this.options.states);
      const one = Float32Array.of(hash);
      for (const layer of [0, 1]) {
        this.#kv.append(layer, slot, position + n, 1, { newKeys: one, newValues: one, batchRow: 0, seq: 1 });
      }
      return hash;
    });
    const logits = new Float32Array(wantedLogits * hashTokens.count);
    for (const [n, last] of hashes.slice(-wantedLogits).entries()) logits[n * hashTokens.count + tokenAfter(last)] = 10;
    return { logits, hidden: wantsHidden ? Float32Array.from(hashes) : new Float32Array(0) };
  }

  #at(slot: number, position: number): number {
    const found = [0, 1].flatMap((layer) => [
      this.#kv.keys(layer, slot, 1)[position] as number,
      this.#kv.values(layer, slot, 1)[position] as number,
    ]);
    if (new Set(found).size > 1) this.problems.add('layers hold different positions');
    return found[0] as number;
  }
}
