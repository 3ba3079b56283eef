import type { LlmSection } from '@tessera/bundle';
import type { PlacedTensor } from '@tessera/inference';
import type { HostCache } from './host-cache.js';
import type { HostKvStorage } from './host-kv-storage.js';
import { OutputBuffers } from './output-buffers.js';
import type { PlannedRow } from './step-plan.js';

/** Rows of one call, in the order of their slots, which lie side by side. */
export interface CallRows {
  readonly rows: readonly PlannedRow[];
  /** The longest row's tokens. */
  readonly seq: number;
}

/** How a call of the graph gets at the cache. */
export interface CacheAccess {
  /** Whether rows that begin a prompt need slots side by side, as those with a past do. */
  readonly beginsInPlace: boolean;
  inputs(call: CallRows): Record<string, PlacedTensor>;
  outputs(call: CallRows): Record<string, PlacedTensor>;
  /** The call has run: its rows are in the cache when this returns. */
  ran(call: CallRows): void;
}

/** The graph reads and writes the slots themselves: past and present are one buffer. */
export class InPlaceAccess implements CacheAccess {
  readonly beginsInPlace = true;

  constructor(
    private readonly model: LlmSection,
    private readonly kv: HostKvStorage,
  ) {}

  inputs(call: CallRows): Record<string, PlacedTensor> {
    return this.#slots('past', call);
  }

  outputs(call: CallRows): Record<string, PlacedTensor> {
    return this.#slots('present', call);
  }

  ran(): void {}

  #slots(name: 'past' | 'present', { rows }: CallRows): Record<string, PlacedTensor> {
    const { layers, kvHeads, headDim } = this.model;
    const first = rows[0]?.slot ?? 0;
    const tensors: Record<string, PlacedTensor> = {};
    for (let layer = 0; layer < layers; layer++) {
      const shape = [rows.length, kvHeads, this.kv.capacityOf(layer), headDim];
      tensors[`${name}_key.${layer}`] = { dtype: 'float32', shape, data: this.kv.keys(layer, first, rows.length) };
      tensors[`${name}_value.${layer}`] = { dtype: 'float32', shape, data: this.kv.values(layer, first, rows.length) };
    }
    return tensors;
  }
}

/**
 * The graph reads the slots and gives new rows, which are appended: for a backend that copies what it gives, where the
 * present would be the whole cache.
 */
export class AppendingAccess implements CacheAccess {
  readonly beginsInPlace = false;
  readonly #buffers = new OutputBuffers();

  constructor(
    private readonly model: LlmSection,
    private readonly cache: HostCache,
  ) {}

  inputs({ rows }: CallRows): Record<string, PlacedTensor> {
    const tensors: Record<string, PlacedTensor> = {};
    for (let layer = 0; layer < this.model.layers; layer++) Object.assign(tensors, this.cache.past(layer, rows));
    return tensors;
  }

  outputs({ rows, seq }: CallRows): Record<string, PlacedTensor> {
    this.#buffers.begin();
    const { layers, kvHeads, headDim } = this.model;
    const shape = [rows.length, kvHeads, seq, headDim];
    const tensors: Record<string, PlacedTensor> = {};
    for (let layer = 0; layer < layers; layer++) {
      for (const kind of ['new_key', 'new_value']) tensors[`${kind}.${layer}`] = this.#buffers.next(shape);
    }
    return tensors;
  }

  ran({ rows, seq }: CallRows): void {
    const { storage } = this.cache;
    for (let layer = 0; layer < this.model.layers; layer++) {
      const newKeys = this.#buffers.at(2 * layer);
      const newValues = this.#buffers.at(2 * layer + 1);
      for (const [batchRow, { slot, position, tokenIds }] of rows.entries()) {
        storage.append(layer, slot, position, tokenIds.length, { newKeys, newValues, batchRow, seq });
      }
    }
  }
}
