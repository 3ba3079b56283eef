import { type LayerPlan, type LayerRow, TesseraError } from '@tessera/protocol';
import type { HostCacheOptions } from '../../model/host-cache.js';
import type { LayerRunner } from '../../model/layer-runner.js';
import type { CacheLoad, CacheOperation, StepPlan } from '../../model/step-plan.js';
import { decodePlan, decodeRows } from '../plan-message.js';
import type { Progress } from './progress.js';

export interface ShardCacheOptions {
  readonly runner: LayerRunner;
  readonly hiddenSize: number;
  /** The most that there will be, as the engine said when it began. */
  readonly most: HostCacheOptions;
  /** What the engine may come to use. */
  readonly positions: number;
  /** Bytes of one. */
  readonly positionBytes: number;
  /** Of all caches of the shard. */
  readonly progress: Progress;
  /** Told how many positions were computed. */
  readonly onComputed: (positions: number) => void;
  readonly onClosed: () => void;
}

/** One engine's cache of a shard's layers, and its computing. What comes from the engine is checked here. */
export class ShardCache {
  readonly #options: ShardCacheOptions;
  /** How long each beginning is that is kept. */
  readonly #kept = new Map<number, number>();
  #isClosing = false;

  constructor(options: ShardCacheOptions) {
    this.#options = options;
  }

  get positions(): number {
    return this.#options.positions;
  }

  /** Its engine is gone, and it goes too, once what was asked for last is computed. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Bytes now. */
  get bytes(): number {
    return this.#options.runner.cacheBytes;
  }

  /**
   * Has the cache be as a plan says.
   * @returns why there is no memory for it; undefined where it was done
   * @throws TesseraError REQUEST_INVALID where it is more than the engine asked for when it began
   */
  async plan(message: LayerPlan): Promise<string | undefined> {
    const { runner, positions, positionBytes, most } = this.#options;
    const plan = decodePlan(message);
    requireWithin(plan, most);
    const inSlots = runner.slotBytesFor(plan.slots, plan.positions) / positionBytes;
    const kept = this.#keptAfter(plan);
    // What goes into a slot is there twice for the length of a step, whether or not there is room for both.
    const together = plan.loads.length === 0 ? inSlots + kept.after : 0;
    const isOver = Math.max(inSlots, kept.most, together) > positions;
    if (isOver) {
      const what = `${plan.slots} slots of ${plan.positions} positions and what is kept`;
      throw TesseraError.invalidField('plan', `asks for ${what}, more than the ${positions} positions of the start`);
    }
    const failed = await runner.prepare(plan);
    return failed === undefined ? undefined : TesseraError.from(failed.noMemory).message;
  }

  /**
   * Computes hidden states.
   * @param hidden float32 [positions, hidden]
   * @throws TesseraError REQUEST_INVALID, TENSOR_INVALID, INTERNAL
   */
  async compute(rows: readonly LayerRow[], hidden: Float32Array): Promise<Float32Array> {
    const { runner, hiddenSize, progress, onComputed } = this.#options;
    const positions = this.elementsOf(rows) / hiddenSize;
    if (hidden.length !== positions * hiddenSize) {
      throw new TesseraError('TENSOR_INVALID', `${hidden.length} numbers are not ${positions} hidden states`, {
        field: 'call.hidden',
      });
    }
    const computed = await progress.watch(() => runner.run(decodeRows(rows), hidden));
    onComputed(positions);
    return computed;
  }

  /** How many numbers the hidden states of rows have. @throws TesseraError REQUEST_INVALID for more than the cache has room for */
  elementsOf(rows: readonly LayerRow[]): number {
    const count = rows.reduce((sum, row) => sum + row.count, 0);
    if (count < 1 || count > this.#options.positions) {
      throw TesseraError.invalidField(
        'call.rows',
        `have ${count} positions, of ${this.#options.positions} in the cache`,
      );
    }
    return count * this.#options.hiddenSize;
  }

  forget(): void {
    this.#kept.clear();
    this.#options.runner.forget();
  }

  /** Frees its memory. */
  async close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    await this.#options.runner.release();
    this.#options.onClosed();
  }

  /** Positions that are kept: the most while a plan is carried out, and those after it. */
  #keptAfter({ operations }: StepPlan['cache']): { readonly most: number; readonly after: number } {
    let sum = [...this.#kept.values()].reduce((total, rows) => total + rows, 0);
    let most = 0;
    for (const operation of operations) {
      if (operation.type !== 'keep' && operation.type !== 'drop') continue;
      sum -= this.#kept.get(operation.prefix) ?? 0;
      this.#kept.delete(operation.prefix);
      if (operation.type === 'keep') {
        this.#kept.set(operation.prefix, operation.rows);
        sum += operation.rows;
      }
      most = Math.max(most, sum);
    }
    return { most, after: sum };
  }
}

/** @throws TesseraError REQUEST_INVALID where a plan names a slot or a position beyond what the engine said when it began */
function requireWithin({ operations, loads, slots, positions }: StepPlan['cache'], most: HostCacheOptions): void {
  const require = (
    what: string,
    named: readonly number[],
    count: number,
    room: { slots: number; positions: number },
  ) => {
    if (named.every((slot) => slot < room.slots) && count <= room.positions) return;
    const message = `names slots or positions beyond ${room.slots} slots of ${room.positions}`;
    throw TesseraError.invalidField(`plan.${what}`, message);
  };
  const start = { slots: most.slots, positions: most.maxPositions };
  require('slots', slots === 0 ? [] : [slots - 1], positions, start);
  for (const [at, operation] of operations.entries()) {
    if (operation.type !== 'drop') require(`operations[${at}]`, slotsOf(operation), operation.rows, start);
  }
  for (const [at, load] of loads.entries()) require(`loads[${at}]`, slotsOf(load), load.rows, { slots, positions });
}

function slotsOf(change: Exclude<CacheOperation, { type: 'drop' }> | CacheLoad): readonly number[] {
  switch (change.type) {
    case 'copy':
      return [change.from, change.to];
    case 'swap':
      return [change.a, change.b];
    default:
      return [change.slot];
  }
}
