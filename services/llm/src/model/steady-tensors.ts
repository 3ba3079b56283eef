import type { Tensor } from '@tessera/protocol';

/**
 * Tensors whose numbers change from call to call and whose shapes seldom do: kept where they are, since what is bound to a
 * graph already costs nothing to bind. One of each name is kept.
 */
export class SteadyTensors {
  readonly #kept = new Map<string, Tensor>();

  /** The same numbers, good until the next call. The arrays that are given may be kept. */
  take(tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
    return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, this.#take(name, tensor)]));
  }

  #take(name: string, tensor: Tensor): Tensor {
    const kept = this.#kept.get(name);
    if (kept === undefined || kept.dtype !== tensor.dtype || kept.shape.join() !== tensor.shape.join()) {
      this.#kept.set(name, tensor);
      return tensor;
    }
    // Both are of one type, which TypeScript does not see.
    (kept.data as Float32Array).set(tensor.data as Float32Array);
    return kept;
  }
}
