import type { Float16Tensor, Float32Tensor, Tensor } from '@tessera/protocol';

/** A buffer is given back when it has been far too large for as many steps. */
const patience = 256;

export type Int32Tensor = Tensor & { readonly dtype: 'int32'; readonly data: Int32Array };

/** Views of a buffer, of one shape. */
interface Tensors {
  readonly floats: Float32Tensor;
  integers?: Int32Tensor;
  halves?: Float16Tensor;
}

interface Buffer {
  readonly data: Float32Array;
  /** For how many steps it has been far too large. */
  idle: number;
  /** What was handed out last. */
  tensors?: Tensors;
}

/**
 * Memory for what a graph gives, used again and again: a step's logits over a large vocabulary are megabytes, which would
 * be allocated and cleared at every step.
 */
export class OutputBuffers {
  readonly #buffers: Buffer[] = [];
  #used = 0;

  /** A step begins: what was handed out for the last one is used anew. */
  begin(): void {
    for (let index = this.#used; index < this.#buffers.length; index++) {
      const buffer = this.#buffers[index] as Buffer;
      if (++buffer.idle > patience) this.#buffers.length = index;
    }
    this.#used = 0;
  }

  /**
   * Memory for the next tensor of the step; what is in it is left of another one. It is the object that was handed out in
   * this place for a step before, where the shape is the same: what is bound already costs nothing to bind.
   */
  next(shape: readonly number[]): Float32Tensor {
    const { floats } = this.#next(shape);
    return floats;
  }

  /** The same for numbers of the type int32. */
  nextInt32(shape: readonly number[]): Int32Tensor {
    const tensors = this.#next(shape);
    const { data } = tensors.floats;
    tensors.integers ??= { dtype: 'int32', shape, data: new Int32Array(data.buffer, data.byteOffset, data.length) };
    return tensors.integers;
  }

  /** The same for numbers of the type float16, in a place that has room for as many of float32. */
  nextFloat16(shape: readonly number[]): Float16Tensor {
    const tensors = this.#next(shape);
    const { data } = tensors.floats;
    tensors.halves ??= { dtype: 'float16', shape, data: new Uint16Array(data.buffer, data.byteOffset, data.length) };
    return tensors.halves;
  }

  #next(shape: readonly number[]): Tensors {
    const length = shape.reduce((product, size) => product * size, 1);
    const buffer = this.#take(this.#used++, length);
    if (buffer.tensors === undefined || buffer.tensors.floats.shape.join() !== shape.join()) {
      buffer.tensors = { floats: { dtype: 'float32', shape, data: buffer.data.subarray(0, length) } };
    }
    return buffer.tensors;
  }

  #take(index: number, length: number): Buffer {
    const buffer = this.#buffers[index];
    if (buffer !== undefined && buffer.data.length >= length) {
      buffer.idle = buffer.data.length > 4 * length ? buffer.idle + 1 : 0;
      if (buffer.idle <= patience) return buffer;
    }
    const made: Buffer = { data: new Float32Array(length), idle: 0 };
    this.#buffers[index] = made;
    return made;
  }
}
