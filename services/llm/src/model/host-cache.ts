import type { LlmSection } from '@tessera/bundle';
import type { Tensor } from '@tessera/protocol';
import { bytesPerRow, type KvShape } from '../kv/kv-shape.js';
import { HostKvStorage, type NewRows } from './host-kv-storage.js';
import { KeptPrefixes } from './kept-prefixes.js';
import type { CacheOperation, NoMemory, StepPlan } from './step-plan.js';

/** Keys or values. */
export type KvTensor = Tensor<'float32' | 'float16'>;

export interface HostCacheOptions {
  readonly slots: number;
  /** The longest sequence that will be computed; at most the model's context. */
  readonly maxPositions: number;
}

/**
 * The cache of a model's layers, or of some of them, in this process's memory, as graphs are given it and give it back, and
 * as plans say it is to be.
 */
export class HostCache {
  readonly #storage: HostKvStorage;
  readonly #prefixes: KeptPrefixes;
  /** The place of each layer in the storage. */
  readonly #places: ReadonlyMap<number, number>;

  /** @param layers whose cache it is, by their numbers in the model */
  constructor(
    { kvHeads, headDim, kvCache }: Pick<LlmSection, 'kvHeads' | 'headDim' | 'kvCache'>,
    layers: readonly number[],
    { slots, maxPositions }: HostCacheOptions,
  ) {
    this.#places = new Map(layers.map((layer, place) => [layer, place]));
    const shape = { layers: layers.length, slots, kvHeads, headDim, kvCache, maxRows: maxPositions };
    this.#storage = new HostKvStorage(shape);
    this.#prefixes = new KeptPrefixes(this.#storage);
  }

  get shape(): KvShape {
    return this.#storage.shape;
  }

  /** What it holds. */
  get type(): 'float32' | 'float16' {
    return this.shape.kvCache ?? 'float32';
  }

  /** Bytes now: of its slots, and of the beginnings that are kept. */
  get bytes(): { readonly slots: number; readonly kept: number } {
    return { slots: this.#storage.bytes, kept: this.#prefixes.bytes };
  }

  /** Bytes of one position that is kept. */
  get positionBytes(): number {
    return bytesPerRow(this.shape);
  }

  /** Bytes that so many slots of so many positions take. */
  slotBytesFor(slots: number, positions: number): number {
    return this.#storage.bytesFor(slots, positions);
  }

  /** Gives up what is kept: another part of it is lost. What is in the slots is of no use either, and is written over. */
  forget(): void {
    this.#prefixes.clear();
  }

  /**
   * Has the cache be as the plan says; slots are moved even where there is no memory for the rest.
   * @param letGo called before memory is replaced that somebody may still hold
   */
  async prepare(
    { operations, slots, positions, loads, isDone = false }: StepPlan['cache'],
    letGo: () => Promise<void> = async () => {},
  ): Promise<NoMemory | undefined> {
    if (isDone) return undefined;
    let failed: NoMemory | undefined;
    for (const operation of operations) {
      try {
        this.#apply(operation);
      } catch (noMemory) {
        failed = { noMemory };
      }
    }
    if (failed !== undefined) return failed;
    if (this.#storage.wouldResize(slots, positions)) await letGo();
    try {
      this.#storage.fit(slots, positions);
    } catch (noMemory) {
      return { noMemory };
    }
    for (const load of loads) {
      if (load.type === 'copy') this.#storage.copy(load.from, load.to, load.rows);
      else this.#prefixes.restore(load.prefix, load.slot, load.rows);
    }
    return undefined;
  }

  /** Slots `first` to `first + count - 1` of a layer, in place: [count, kvHeads, capacity, headDim] each. */
  slots(layer: number, first: number, count: number): { readonly keys: KvTensor; readonly values: KvTensor } {
    const place = this.#placeOf(layer);
    const { kvHeads, headDim } = this.shape;
    const shape = [count, kvHeads, this.#storage.capacityOf(place), headDim];
    return {
      keys: { dtype: this.type, shape, data: this.#storage.keys(place, first, count) },
      values: { dtype: this.type, shape, data: this.#storage.values(place, first, count) },
    };
  }

  /** Writes new rows of a layer behind the first `position` that a slot has: see HostKvStorage. */
  append(layer: number, slot: number, position: number, count: number, rows: NewRows): void {
    this.#storage.append(this.#placeOf(layer), slot, position, count, rows);
  }

  /** @throws RangeError where there is no memory to keep anything */
  #apply(operation: CacheOperation): void {
    switch (operation.type) {
      case 'copy':
        this.#storage.copy(operation.from, operation.to, operation.rows);
        return;
      case 'swap':
        this.#storage.swap(operation.a, operation.b, operation.rows);
        return;
      case 'keep':
        this.#prefixes.keep(operation.prefix, operation.slot, operation.rows);
        return;
      case 'drop':
        this.#prefixes.drop(operation.prefix);
        return;
    }
  }

  #placeOf(layer: number): number {
    const place = this.#places.get(layer);
    if (place === undefined) throw new Error(`this is no cache of layer ${layer}`);
    return place;
  }
}
