import type { PlacedTensor } from '@tessera/inference';
import type { HostCache } from './host-cache.js';
import { OutputBuffers } from './output-buffers.js';
import type { PlannedRow } from './step-plan.js';

/** Rows of one call, in the order of their slots, which lie side by side. */
export interface CallRows {
  readonly rows: readonly PlannedRow[];
  /** The longest row's tokens. */
  readonly seq: number;
}

/** How a call of a graph gets at the cache of the layers that it has. */
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

  /** @param layers by their numbers in the model */
  constructor(
    private readonly layers: readonly number[],
    private readonly cache: HostCache,
  ) {}

  inputs(call: CallRows): Record<string, PlacedTensor> {
    return this.#slots('past', call);
  }

  outputs(call: CallRows): Record<string, PlacedTensor> {
    return this.#slots('present', call);
  }

  ran(): void {}

  #slots(name: 'past' | 'present', { rows }: CallRows): Record<string, PlacedTensor> {
    const first = rows[0]?.slot ?? 0;
    const tensors: Record<string, PlacedTensor> = {};
    for (const layer of this.layers) {
      const { keys, values } = this.cache.slots(layer, first, rows.length);
      tensors[`${name}_key.${layer}`] = keys;
      tensors[`${name}_value.${layer}`] = values;
    }
    return tensors;
  }
}

const noNumbers = new Float32Array(0);

/**
 * The graph reads the slots and gives new rows, which are appended: for a backend that copies what it gives, where the
 * present would be the whole cache.
 */
export class AppendingAccess implements CacheAccess {
  readonly beginsInPlace = false;
  readonly #buffers = new OutputBuffers();

  /** @param layers by their numbers in the model */
  constructor(
    private readonly layers: readonly number[],
    private readonly cache: HostCache,
  ) {}

  inputs({ rows }: CallRows): Record<string, PlacedTensor> {
    const [first] = rows;
    const { kvHeads, headDim } = this.cache.shape;
    const nothing = { dtype: 'float32', shape: [rows.length, kvHeads, 0, headDim], data: noNumbers } as const;
    const tensors: Record<string, PlacedTensor> = {};
    for (const layer of this.layers) {
      const { keys, values } =
        first === undefined || first.position === 0
          ? { keys: nothing, values: nothing }
          : this.cache.slots(layer, first.slot, rows.length);
      tensors[`past_key.${layer}`] = keys;
      tensors[`past_value.${layer}`] = values;
    }
    return tensors;
  }

  outputs({ rows, seq }: CallRows): Record<string, PlacedTensor> {
    this.#buffers.begin();
    const { kvHeads, headDim } = this.cache.shape;
    const shape = [rows.length, seq, kvHeads * headDim];
    const tensors: Record<string, PlacedTensor> = {};
    for (const layer of this.layers) {
      for (const kind of ['new_key', 'new_value']) tensors[`${kind}.${layer}`] = this.#buffers.next(shape);
    }
    return tensors;
  }

  ran({ rows, seq }: CallRows): void {
    for (const [at, layer] of this.layers.entries()) {
      const newKeys = this.#buffers.at(2 * at);
      const newValues = this.#buffers.at(2 * at + 1);
      for (const [batchRow, { slot, position, tokenIds }] of rows.entries()) {
        this.cache.append(layer, slot, position, tokenIds.length, { newKeys, newValues, batchRow, seq });
      }
    }
  }
}
