import type { HostKvStorage, KvNumbers } from './host-kv-storage.js';

interface Kept {
  readonly rows: number;
  /** Of each layer, what HostKvStorage.read gave. */
  readonly layers: readonly KvNumbers[];
}

/**
 * Beginnings of sequences that have left, beside the slots, each as long as it is: slots are all as long as the longest
 * sequence, and those that decode must lie side by side. To keep one and to take it up again cost a copy each, which is
 * what decoding copies anyway when a sequence leaves, and some thousandth of what computing it costs.
 */
export class KeptPrefixes {
  readonly #kept = new Map<number, Kept>();
  #bytes = 0;

  constructor(private readonly storage: HostKvStorage) {}

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws RangeError when there is no memory for it: then nothing is kept */
  keep(id: number, slot: number, rows: number): void {
    const count = this.storage.shape.layers;
    const layers = Array.from({ length: count }, (_, layer) => this.storage.read(layer, slot, rows));
    this.#kept.set(id, { rows, layers });
    this.#bytes += bytesOf(layers);
  }

  restore(id: number, slot: number, rows: number): void {
    const kept = this.#kept.get(id);
    if (kept === undefined) throw new Error(`no beginning is kept under ${id}`);
    for (const [layer, taken] of kept.layers.entries()) this.storage.write(layer, slot, taken, { rows, of: kept.rows });
  }

  clear(): void {
    this.#kept.clear();
    this.#bytes = 0;
  }

  drop(id: number): void {
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    this.#kept.delete(id);
    this.#bytes -= bytesOf(kept.layers);
  }
}

function bytesOf(layers: readonly KvNumbers[]): number {
  return layers.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
