import type { Float32Tensor } from '@tessera/protocol';

/** The final hidden states of a sequence's last positions: what a drawing is conditioned on. */
export class ConditionWindow {
  readonly #rows: number;
  readonly #hiddenSize: number;
  readonly #ring: Float32Array;
  /** Positions pushed so far. */
  #count = 0;

  constructor(rows: number, hiddenSize: number) {
    this.#rows = rows;
    this.#hiddenSize = hiddenSize;
    this.#ring = new Float32Array(rows * hiddenSize);
  }

  /** @param hidden float32 [positions, hidden], in order */
  push(hidden: Float32Array): void {
    const size = this.#hiddenSize;
    const positions = hidden.length / size;
    for (let n = Math.max(0, positions - this.#rows); n < positions; n++) {
      this.#ring.set(hidden.subarray(n * size, (n + 1) * size), ((this.#count + n) % this.#rows) * size);
    }
    this.#count += positions;
  }

  /** float32 [rows, hidden], oldest first; fewer rows when the sequence is shorter. */
  snapshot(): Float32Tensor {
    const size = this.#hiddenSize;
    const rows = Math.min(this.#rows, this.#count);
    const data = new Float32Array(rows * size);
    for (let n = 0; n < rows; n++) {
      const slot = (this.#count - rows + n) % this.#rows;
      data.set(this.#ring.subarray(slot * size, (slot + 1) * size), n * size);
    }
    return { dtype: 'float32', shape: [rows, size], data };
  }
}
