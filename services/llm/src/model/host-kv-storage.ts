import { zeros } from '@tessera/protocol';
import { bytesPerRow, capacityFor, type KvShape, slotsFor } from '../kv/kv-shape.js';

/** Keys or values as the shape says that they are held; those of float16 as their bits, which nothing here looks into. */
export type KvNumbers = Float32Array | Uint16Array;

/** Copying so few numbers by a loop beats making two views for `set`. */
const loopLimit = 128;

function copy(target: KvNumbers, targetStart: number, source: KvNumbers, start: number, count: number): void {
  if (count > loopLimit) {
    target.set(source.subarray(start, start + count), targetStart);
    return;
  }
  for (let i = 0; i < count; i++) target[targetStart + i] = source[start + i] as number;
}

const scratches = { float32: new Float32Array(4096), float16: new Uint16Array(4096) };

/** Exchanges two stretches of a buffer. */
function exchange(buffer: KvNumbers, a: number, b: number, count: number): void {
  const scratch = buffer instanceof Float32Array ? scratches.float32 : scratches.float16;
  for (let done = 0; done < count; done += scratch.length) {
    const size = Math.min(scratch.length, count - done);
    scratch.set(buffer.subarray(a + done, a + done + size));
    buffer.copyWithin(a + done, b + done, b + done + size);
    buffer.set(scratch.subarray(0, size), b + done);
  }
}

/** Keys and values of one layer: [slots, kvHeads, capacity, headDim]. */
interface Layer {
  slots: number;
  capacity: number;
  keys: KvNumbers;
  values: KvNumbers;
}

function grows({ slots, capacity }: Layer, wantedSlots: number, wantedRows: number): boolean {
  return wantedSlots > slots || wantedRows > capacity;
}

function shrinks({ slots, capacity }: Layer, wantedSlots: number, wantedRows: number): boolean {
  return wantedSlots * wantedRows * 2 <= slots * capacity;
}

/** What a call of a graph adds to a layer: row `batchRow` of keys and values, [batch, seq, kvHeads * headDim] each. */
export interface NewRows {
  readonly newKeys: KvNumbers;
  readonly newValues: KvNumbers;
  readonly batchRow: number;
  readonly seq: number;
}

export type Allocate = (length: number, type: 'float32' | 'float16') => KvNumbers;

const allocateZeros: Allocate = (length, type) => zeros(type, length);

/**
 * The cache in this process's memory: slots, row n of which is position n. Which sequence has which slot is not its
 * concern (see KvSlots).
 *
 * A decode step reads a layer's slots as one array [slots, kvHeads, capacity, headDim], so all of them are as long as
 * the longest. There are as many slots as sequences, and as many rows as the longest needs, in small steps: memory grows
 * only when many or long sequences come, and where ONNX Runtime copies the past at each step, unused rows too, short ones
 * pay for short copies. A change copies the cache once. It shrinks when half would do, so that it does not go to and fro.
 *
 * Each layer has a size of its own and changes it alone. So a change needs room for one more layer, not for a second
 * cache, and one that finds no memory leaves layers of two sizes behind, each of them whole.
 */
export class HostKvStorage {
  readonly slots: number;
  readonly maxRows: number;
  readonly #layers: readonly Layer[];

  /** @param allocate as many zeros; throws RangeError where there is no memory */
  constructor(
    readonly shape: KvShape,
    private readonly allocate: Allocate = allocateZeros,
  ) {
    this.slots = shape.slots;
    this.maxRows = shape.maxRows;
    const slots = slotsFor(1, shape);
    const capacity = capacityFor(1, shape);
    this.#layers = Array.from({ length: shape.layers }, () => this.#layer(slots, capacity));
  }

  /** Rows that every slot has now. */
  get capacity(): number {
    return this.#layers.reduce((least, { capacity }) => Math.min(least, capacity), this.maxRows);
  }

  /** Bytes held now. */
  get bytes(): number {
    return this.#layers.reduce((sum, { keys, values }) => sum + keys.byteLength + values.byteLength, 0);
  }

  /** Bytes that are held once `fit` has made so much. */
  bytesFor(slots: number, rows: number): number {
    return slotsFor(slots, this.shape) * capacityFor(rows, this.shape) * bytesPerRow(this.shape);
  }

  /** Whether a slot is there, and that long. */
  holds(slot: number, rows: number): boolean {
    return this.#layers.every(({ slots, capacity }) => slot < slots && rows <= capacity);
  }

  /** Rows that the slots of a layer have. */
  capacityOf(layer: number): number {
    return this.#at(layer).capacity;
  }

  /** Slots `first` to `first + count - 1` of a layer, as a view. */
  keys(layer: number, first: number, count: number): KvNumbers {
    const size = this.#slotSize(this.#at(layer));
    return this.#at(layer).keys.subarray(first * size, (first + count) * size);
  }

  values(layer: number, first: number, count: number): KvNumbers {
    const size = this.#slotSize(this.#at(layer));
    return this.#at(layer).values.subarray(first * size, (first + count) * size);
  }

  /** Whether `fit` would replace any layer's memory. */
  wouldResize(slots: number, rows: number): boolean {
    const [wantedSlots, wantedRows] = [slotsFor(slots, this.shape), capacityFor(rows, this.shape)];
    return this.#layers.some(
      (layer) => grows(layer, wantedSlots, wantedRows) || shrinks(layer, wantedSlots, wantedRows),
    );
  }

  /**
   * Makes `slots` slots of `rows` rows each, keeping what is there; may give memory back when far less is needed.
   * @throws RangeError when there is no memory for it: what was held is held still, and whole
   */
  fit(slots: number, rows: number): void {
    const wantedSlots = slotsFor(slots, this.shape);
    const wantedRows = capacityFor(rows, this.shape);
    for (const layer of this.#layers) {
      const isShort = grows(layer, wantedSlots, wantedRows);
      if (!isShort && !shrinks(layer, wantedSlots, wantedRows)) continue;
      try {
        this.#resize(layer, wantedSlots, wantedRows);
      } catch (error) {
        // To be smaller it needs memory too, for a moment; it stays as it is.
        if (isShort) throw error;
      }
    }
  }

  /** Copies the first `rows` rows of slot `from` over those of slot `to`. */
  copy(from: number, to: number, rows: number): void {
    const { kvHeads, headDim } = this.shape;
    for (const layer of this.#layers) {
      for (const buffer of [layer.keys, layer.values]) {
        for (let head = 0; head < kvHeads; head++) {
          const start = this.#offset(layer, from, head, 0);
          buffer.copyWithin(this.#offset(layer, to, head, 0), start, start + rows * headDim);
        }
      }
    }
  }

  /** Exchanges the first `rows` rows of two slots, by pieces: it must not want for memory. */
  swap(a: number, b: number, rows: number): void {
    const { kvHeads, headDim } = this.shape;
    const size = rows * headDim;
    for (const layer of this.#layers) {
      for (const buffer of [layer.keys, layer.values]) {
        for (let head = 0; head < kvHeads; head++) {
          exchange(buffer, this.#offset(layer, a, head, 0), this.#offset(layer, b, head, 0), size);
        }
      }
    }
  }

  /** The first `rows` rows of a slot in a layer: keys, then values, each [kvHeads, rows, headDim]. */
  read(layer: number, slot: number, rows: number): KvNumbers {
    const source = this.#at(layer);
    const { kvHeads, headDim } = this.shape;
    const size = rows * headDim;
    const taken = this.#allocate(2 * kvHeads * size);
    for (let head = 0; head < kvHeads; head++) {
      const start = this.#offset(source, slot, head, 0);
      taken.set(source.keys.subarray(start, start + size), head * size);
      taken.set(source.values.subarray(start, start + size), (kvHeads + head) * size);
    }
    return taken;
  }

  /** Writes the first `rows` rows of what `read` gave, where it had `of`, over those of a slot. */
  write(layer: number, slot: number, taken: KvNumbers, { rows, of }: { rows: number; of: number }): void {
    const target = this.#at(layer);
    const { kvHeads, headDim } = this.shape;
    for (let head = 0; head < kvHeads; head++) {
      const start = this.#offset(target, slot, head, 0);
      const [key, value] = [head * of * headDim, (kvHeads + head) * of * headDim];
      target.keys.set(taken.subarray(key, key + rows * headDim), start);
      target.values.set(taken.subarray(value, value + rows * headDim), start);
    }
  }

  /**
   * Writes new rows behind those a slot has.
   * @param position the slot's first new row
   * @param count of those that are given, the first so many
   */
  append(
    layer: number,
    slot: number,
    position: number,
    count: number,
    { newKeys, newValues, batchRow, seq }: NewRows,
  ): void {
    const { kvHeads, headDim } = this.shape;
    const target = this.#at(layer);
    for (let head = 0; head < kvHeads; head++) {
      let to = this.#offset(target, slot, head, position);
      let from = (batchRow * seq * kvHeads + head) * headDim;
      for (let row = 0; row < count; row++, to += headDim, from += kvHeads * headDim) {
        copy(target.keys, to, newKeys, from, headDim);
        copy(target.values, to, newValues, from, headDim);
      }
    }
  }

  #at(layer: number): Layer {
    return this.#layers[layer] as Layer;
  }

  #slotSize({ capacity }: Layer): number {
    return this.shape.kvHeads * capacity * this.shape.headDim;
  }

  #offset({ capacity }: Layer, slot: number, head: number, row: number): number {
    return ((slot * this.shape.kvHeads + head) * capacity + row) * this.shape.headDim;
  }

  #layer(slots: number, capacity: number): Layer {
    const length = slots * this.shape.kvHeads * capacity * this.shape.headDim;
    return { slots, capacity, keys: this.#allocate(length), values: this.#allocate(length) };
  }

  #allocate(length: number): KvNumbers {
    return this.allocate(length, this.shape.kvCache ?? 'float32');
  }

  /** Puts the larger buffers in place when both are there and filled: whatever fails before leaves the layer as it was. */
  #resize(layer: Layer, slots: number, capacity: number): void {
    const { kvHeads, headDim } = this.shape;
    const resized = this.#layer(slots, capacity);
    const size = Math.min(layer.capacity, capacity) * headDim;
    for (let row = 0; row < Math.min(layer.slots, slots) * kvHeads; row++) {
      const start = row * layer.capacity * headDim;
      resized.keys.set(layer.keys.subarray(start, start + size), row * capacity * headDim);
      resized.values.set(layer.values.subarray(start, start + size), row * capacity * headDim);
    }
    Object.assign(layer, resized);
  }
}
