import type { Float32Tensor, Tensor } from '@tessera/protocol';

/** A buffer is given back when it has been far too large for as many steps. */
const patience = 256;

/**
 * Memory for what a graph gives, used again and again: a step's logits over a large vocabulary are megabytes, which would
 * be allocated and cleared at every step.
 */
export class OutputBuffers {
  readonly #buffers: { data: Float32Array; idle: number }[] = [];
  #used = 0;

  /** A step begins: what was handed out for the last one is used anew. */
  begin(): void {
    for (let index = this.#used; index < this.#buffers.length; index++) {
      const buffer = this.#buffers[index] as { idle: number };
      if (++buffer.idle > patience) this.#buffers.length = index;
    }
    this.#used = 0;
  }

  /** Memory for the next tensor of the step; what is in it is left of another one. */
  next(shape: readonly number[]): Float32Tensor {
    const length = shape.reduce((product, size) => product * size, 1);
    return { dtype: 'float32', shape, data: this.#take(this.#used++, length).subarray(0, length) };
  }

  /** The same for numbers of the type int32. */
  nextInt32(shape: readonly number[]): Tensor & { readonly dtype: 'int32'; readonly data: Int32Array } {
    const { data } = this.next(shape);
    return { dtype: 'int32', shape, data: new Int32Array(data.buffer, data.byteOffset, data.length) };
  }

  /** What was handed out as the n-th of this step. */
  at(index: number): Float32Array {
    const buffer = this.#buffers[index];
    if (buffer === undefined || index >= this.#used) throw new Error(`nothing was handed out as number ${index}`);
    return buffer.data;
  }

  #take(index: number, length: number): Float32Array {
    const buffer = this.#buffers[index];
    if (buffer === undefined || buffer.data.length < length) {
      const data = new Float32Array(length);
      this.#buffers[index] = { data, idle: 0 };
      return data;
    }
    buffer.idle = buffer.data.length > 4 * length ? buffer.idle + 1 : 0;
    if (buffer.idle > patience) {
      buffer.data = new Float32Array(length);
      buffer.idle = 0;
    }
    return buffer.data;
  }
}
