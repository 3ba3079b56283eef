import type { KvStorage } from './kv-storage.js';

export interface KvShape {
  readonly layers: number;
  readonly slots: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** The model's context. */
  readonly maxRows: number;
}

const smallestStep = 16;

/** Four steps an octave: at most a quarter more than is needed, and few enough changes. */
function capacityFor(rows: number, maxRows: number): number {
  const step = Math.max(smallestStep, 2 ** Math.floor(Math.log2(Math.max(1, rows))) / 4);
  return Math.min(maxRows, Math.ceil(Math.max(1, rows) / step) * step);
}

/** Copying so few numbers by a loop beats making two views for `set`. */
const loopLimit = 128;

function copy(target: Float32Array, targetStart: number, source: Float32Array, start: number, count: number): void {
  if (count > loopLimit) {
    target.set(source.subarray(start, start + count), targetStart);
    return;
  }
  for (let i = 0; i < count; i++) target[targetStart + i] = source[start + i] as number;
}

/**
 * The cache in this process's memory: for each layer, keys and values float32 [slots, kvHeads, capacity, headDim].
 *
 * Without bound buffers ONNX Runtime copies the whole past of every sequence at each step, unused rows too, so the
 * capacity follows the longest sequence in small steps: short conversations pay for short copies, and memory grows only
 * when a long one comes. A change copies the cache once, which is what one step does anyway. It shrinks when half would
 * do, so that it does not go to and fro.
 */
export class HostKvStorage implements KvStorage {
  readonly slots: number;
  readonly maxRows: number;
  #capacity: number;
  #keys: Float32Array[];
  #values: Float32Array[];

  constructor(readonly shape: KvShape) {
    this.slots = shape.slots;
    this.maxRows = shape.maxRows;
    this.#capacity = capacityFor(1, shape.maxRows);
    this.#keys = this.#allocate();
    this.#values = this.#allocate();
  }

  /** Rows a slot has now. */
  get capacity(): number {
    return this.#capacity;
  }

  get bytes(): number {
    return 2 * this.shape.layers * this.slots * this.#slotSize * Float32Array.BYTES_PER_ELEMENT;
  }

  /** Slots `first` to `first + count - 1` of a layer, as a view. */
  keys(layer: number, first: number, count: number): Float32Array {
    return (this.#keys[layer] as Float32Array).subarray(first * this.#slotSize, (first + count) * this.#slotSize);
  }

  values(layer: number, first: number, count: number): Float32Array {
    return (this.#values[layer] as Float32Array).subarray(first * this.#slotSize, (first + count) * this.#slotSize);
  }

  fit(rows: number): void {
    const wanted = capacityFor(rows, this.maxRows);
    if (wanted > this.#capacity || wanted * 2 <= this.#capacity) this.#resize(wanted);
  }

  move(from: number, to: number, rows: number): void {
    const { kvHeads, headDim } = this.shape;
    for (const buffer of this.#buffers()) {
      for (let head = 0; head < kvHeads; head++) {
        const start = this.#offset(from, head, 0);
        buffer.copyWithin(this.#offset(to, head, 0), start, start + rows * headDim);
      }
    }
  }

  swap(a: number, b: number, rows: number): void {
    const { kvHeads, headDim } = this.shape;
    const size = rows * headDim;
    const kept = new Float32Array(size);
    for (const buffer of this.#buffers()) {
      for (let head = 0; head < kvHeads; head++) {
        const startA = this.#offset(a, head, 0);
        const startB = this.#offset(b, head, 0);
        kept.set(buffer.subarray(startA, startA + size));
        buffer.copyWithin(startA, startB, startB + size);
        buffer.set(kept, startB);
      }
    }
  }

  /**
   * Writes new rows behind those a slot has.
   * @param newKeys float32 [batch, kvHeads, seq, headDim], as newValues; row `batchRow`, its first `count` rows
   * @param position the slot's first new row
   */
  append(
    layer: number,
    slot: number,
    position: number,
    count: number,
    {
      newKeys,
      newValues,
      batchRow,
      seq,
    }: { newKeys: Float32Array; newValues: Float32Array; batchRow: number; seq: number },
  ): void {
    const { kvHeads, headDim } = this.shape;
    const keys = this.#keys[layer] as Float32Array;
    const values = this.#values[layer] as Float32Array;
    for (let head = 0; head < kvHeads; head++) {
      const target = this.#offset(slot, head, position);
      const source = (batchRow * kvHeads + head) * seq * headDim;
      copy(keys, target, newKeys, source, count * headDim);
      copy(values, target, newValues, source, count * headDim);
    }
  }

  get #slotSize(): number {
    return this.shape.kvHeads * this.#capacity * this.shape.headDim;
  }

  #offset(slot: number, head: number, row: number): number {
    return ((slot * this.shape.kvHeads + head) * this.#capacity + row) * this.shape.headDim;
  }

  #buffers(): Float32Array[] {
    return [...this.#keys, ...this.#values];
  }

  #allocate(): Float32Array[] {
    return Array.from({ length: this.shape.layers }, () => new Float32Array(this.slots * this.#slotSize));
  }

  #resize(capacity: number): void {
    const { kvHeads, headDim } = this.shape;
    const old = { capacity: this.#capacity, buffers: this.#buffers() };
    const size = Math.min(old.capacity, capacity) * headDim;
    this.#capacity = capacity;
    this.#keys = this.#allocate();
    this.#values = this.#allocate();
    for (const [index, buffer] of this.#buffers().entries()) {
      const source = old.buffers[index] as Float32Array;
      for (let row = 0; row < this.slots * kvHeads; row++) {
        const start = row * old.capacity * headDim;
        buffer.set(source.subarray(start, start + size), row * capacity * headDim);
      }
    }
  }
}
