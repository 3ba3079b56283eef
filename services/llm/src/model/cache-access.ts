import type { PlacedTensor } from '@tessera/inference';
import { zeros } from '@tessera/protocol';
import type { HostCache, KvTensor } from './host-cache.js';
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
  /** Lets go of the cache's memory, which is about to be replaced. */
  letGo(): void;
}

interface Slots {
  readonly first: number;
  readonly count: number;
  /** In the order of the layers. */
  readonly layers: readonly ReturnType<HostCache['slots']>[];
}

/** The graph reads and writes the slots themselves: past and present are one buffer. */
export class InPlaceAccess implements CacheAccess {
  readonly beginsInPlace = true;
  /** The same objects for the same slots: what is bound already costs nothing to bind. */
  #last: Slots | undefined;

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

  letGo(): void {
    this.#last = undefined;
  }

  #slots(name: 'past' | 'present', { rows }: CallRows): Record<string, PlacedTensor> {
    const first = rows[0]?.slot ?? 0;
    const count = rows.length;
    if (this.#last?.first !== first || this.#last.count !== count) {
      this.#last = { first, count, layers: this.layers.map((layer) => this.cache.slots(layer, first, count)) };
    }
    const tensors: Record<string, PlacedTensor> = {};
    for (const [at, { keys, values }] of this.#last.layers.entries()) {
      tensors[`${name}_key.${this.layers[at]}`] = keys;
      tensors[`${name}_value.${this.layers[at]}`] = values;
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
  /** Where the call under way puts its new rows, by the graph's names. */
  #fresh: Readonly<Record<string, KvTensor>> = {};

  /** @param layers by their numbers in the model */
  constructor(
    private readonly layers: readonly number[],
    private readonly cache: HostCache,
  ) {}

  inputs({ rows }: CallRows): Record<string, PlacedTensor> {
    const [first] = rows;
    const { type, shape } = this.cache;
    const nothing = { dtype: type, shape: [rows.length, shape.kvHeads, 0, shape.headDim], data: zeros(type, 0) };
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

  letGo(): void {}

  outputs({ rows, seq }: CallRows): Record<string, PlacedTensor> {
    this.#buffers.begin();
    const { kvHeads, headDim } = this.cache.shape;
    const shape = [rows.length, seq, kvHeads * headDim];
    const next = (): KvTensor =>
      this.cache.type === 'float16' ? this.#buffers.nextFloat16(shape) : this.#buffers.next(shape);
    const names = this.layers.flatMap((layer) => [`new_key.${layer}`, `new_value.${layer}`]);
    this.#fresh = Object.fromEntries(names.map((name) => [name, next()]));
    return this.#fresh;
  }

  ran({ rows, seq }: CallRows): void {
    const fresh = (name: string): KvTensor['data'] => (this.#fresh[name] as KvTensor).data;
    for (const layer of this.layers) {
      const [newKeys, newValues] = [fresh(`new_key.${layer}`), fresh(`new_value.${layer}`)];
      for (const [batchRow, { slot, position, tokenIds }] of rows.entries()) {
        this.cache.append(layer, slot, position, tokenIds.length, { newKeys, newValues, batchRow, seq });
      }
    }
  }
}
