import type { ExpertCut } from '@tessera/bundle';
import type { ExpertPlace } from './expert-sessions.js';

/** Which of a model's experts: a bit for each, layer by layer of those that have experts, as ExpertHoldings has them. */
export class ExpertSet {
  readonly #cut: ExpertCut;
  /** The place of each layer among those that have experts. */
  readonly #layers: ReadonlyMap<number, number>;
  readonly #bits: Uint8Array;

  /** @param bits where absent, the set is empty; missing bytes are zeros */
  constructor(cut: ExpertCut, bits: Uint8Array = new Uint8Array(0)) {
    this.#cut = cut;
    this.#layers = new Map(cut.layers.map(({ layer }, at) => [layer, at]));
    this.#bits = new Uint8Array(Math.ceil((cut.layers.length * cut.perLayer) / 8));
    this.#bits.set(bits.subarray(0, this.#bits.length));
  }

  /** Of every expert. */
  static of(cut: ExpertCut, places: Iterable<ExpertPlace>): ExpertSet {
    const set = new ExpertSet(cut);
    for (const place of places) set.add(place);
    return set;
  }

  has(place: ExpertPlace): boolean {
    const at = this.#at(place);
    return at !== undefined && ((this.#bits[at >> 3] as number) & (1 << (at & 7))) !== 0;
  }

  add(place: ExpertPlace): void {
    const at = this.#at(place);
    if (at !== undefined) this.#bits[at >> 3] = (this.#bits[at >> 3] as number) | (1 << (at & 7));
  }

  delete(place: ExpertPlace): void {
    const at = this.#at(place);
    if (at !== undefined) this.#bits[at >> 3] = (this.#bits[at >> 3] as number) & ~(1 << (at & 7));
  }

  addAll(other: ExpertSet): void {
    for (const [at, bits] of other.#bits.entries()) this.#bits[at] = (this.#bits[at] as number) | bits;
  }

  /** Those that are in both. */
  and(other: ExpertSet): ExpertSet {
    return new ExpertSet(
      this.#cut,
      this.#bits.map((bits, at) => bits & (other.#bits[at] as number)),
    );
  }

  /** Its members, in order. */
  *[Symbol.iterator](): Generator<ExpertPlace> {
    for (const place of everyExpert(this.#cut)) if (this.has(place)) yield place;
  }

  /** How many there are. */
  get size(): number {
    return [...this].length;
  }

  toBytes(): Uint8Array {
    return this.#bits.slice();
  }

  #at({ layer, expert }: ExpertPlace): number | undefined {
    const row = this.#layers.get(layer);
    if (row === undefined || expert >= this.#cut.perLayer) return undefined;
    return row * this.#cut.perLayer + expert;
  }
}

/** All experts of a model, layer by layer. */
export function* everyExpert({ layers, perLayer }: ExpertCut): Generator<ExpertPlace> {
  for (const { layer } of layers) for (let expert = 0; expert < perLayer; expert++) yield { layer, expert };
}
