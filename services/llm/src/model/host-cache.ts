import type { LlmSection } from '@tessera/bundle';
import type { Float32Tensor, Tensor } from '@tessera/protocol';
import { bytesPerRow } from '../kv/kv-shape.js';
import { HostKvStorage } from './host-kv-storage.js';
import { KeptPrefixes } from './kept-prefixes.js';
import type { CacheOperation, NoMemory, PlannedRow, StepPlan } from './step-plan.js';

export interface HostCacheOptions {
  readonly slots: number;
  /** The longest sequence that will be computed; at most the model's context. */
  readonly maxPositions: number;
}

const noNumbers = new Float32Array(0);

/** A model's cache in this process's memory, as graphs are given it and give it back, and as plans say it is to be. */
export class HostCache {
  readonly #model: LlmSection;
  /** The slots. */
  readonly storage: HostKvStorage;
  readonly #prefixes: KeptPrefixes;

  constructor(model: LlmSection, { slots, maxPositions }: HostCacheOptions) {
    const { layers, kvHeads, headDim } = model;
    this.#model = model;
    this.storage = new HostKvStorage({ layers, slots, kvHeads, headDim, maxRows: maxPositions });
    this.#prefixes = new KeptPrefixes(this.storage);
  }

  /** Bytes now: of its slots, and of the beginnings that are kept. */
  get bytes(): { readonly slots: number; readonly kept: number } {
    return { slots: this.storage.bytes, kept: this.#prefixes.bytes };
  }

  /** Bytes of one position that is kept. */
  get positionBytes(): number {
    return bytesPerRow(this.#model);
  }

  /** Bytes that so many slots of so many positions take. */
  slotBytesFor(slots: number, positions: number): number {
    return this.storage.bytesFor(slots, positions);
  }

  /**
   * Has the cache be as the plan says; slots are moved even where there is no memory for the rest.
   * @param letGo called before memory is replaced that somebody may still hold
   */
  async prepare(
    { operations, slots, positions, loads }: StepPlan['cache'],
    letGo: () => Promise<void> = async () => {},
  ): Promise<NoMemory | undefined> {
    let failed: NoMemory | undefined;
    for (const operation of operations) {
      try {
        this.#apply(operation);
      } catch (noMemory) {
        failed = { noMemory };
      }
    }
    if (failed !== undefined) return failed;
    if (this.storage.wouldResize(slots, positions)) await letGo();
    try {
      this.storage.fit(slots, positions);
    } catch (noMemory) {
      return { noMemory };
    }
    for (const load of loads) {
      if (load.type === 'copy') this.storage.copy(load.from, load.to, load.rows);
      else this.#prefixes.restore(load.prefix, load.slot, load.rows);
    }
    return undefined;
  }

  /** A layer's inputs: the pasts of rows whose slots lie side by side, or of rows that begin. */
  past(layer: number, rows: readonly PlannedRow[]): Record<string, Tensor> {
    const { kvHeads, headDim } = this.#model;
    const [first] = rows;
    const begins = first?.position === 0;
    const shape = [rows.length, kvHeads, begins ? 0 : this.storage.capacityOf(layer), headDim];
    const [keys, values] = begins
      ? [noNumbers, noNumbers]
      : [
          this.storage.keys(layer, first?.slot ?? 0, rows.length),
          this.storage.values(layer, first?.slot ?? 0, rows.length),
        ];
    return { [`past_key.${layer}`]: float32(shape, keys), [`past_value.${layer}`]: float32(shape, values) };
  }

  /**
   * Takes a layer's outputs in.
   * @param rows those of the call, in its order; one that is undefined is not to be kept
   * @param seq positions that each was padded to
   */
  append(
    layer: number,
    rows: readonly (PlannedRow | undefined)[],
    seq: number,
    outputs: Readonly<Record<string, Tensor>>,
  ): void {
    const newKeys = outputs[`new_key.${layer}`]?.data as Float32Array;
    const newValues = outputs[`new_value.${layer}`]?.data as Float32Array;
    for (const [batchRow, row] of rows.entries()) {
      if (row === undefined) continue;
      const { slot, position, tokenIds } = row;
      this.storage.append(layer, slot, position, tokenIds.length, { newKeys, newValues, batchRow, seq });
    }
  }

  /** @throws RangeError where there is no memory to keep anything */
  #apply(operation: CacheOperation): void {
    switch (operation.type) {
      case 'copy':
        this.storage.copy(operation.from, operation.to, operation.rows);
        return;
      case 'swap':
        this.storage.swap(operation.a, operation.b, operation.rows);
        return;
      case 'keep':
        this.#prefixes.keep(operation.prefix, operation.slot, operation.rows);
        return;
      case 'drop':
        this.#prefixes.drop(operation.prefix);
        return;
    }
  }
}

function float32(shape: readonly number[], data: Float32Array): Float32Tensor {
  return { dtype: 'float32', shape, data };
}
