/** Which pairs of tokens are merged, before which others, and into what: a hash table in flat arrays. */
export class MergeTable {
  readonly #mask: number;
  readonly #lefts: Int32Array;
  readonly #rights: Int32Array;
  readonly #ranks: Int32Array;
  /** By rank, the token that a pair becomes. */
  readonly #merged: Int32Array;

  /** @param most how many pairs there are at most */
  constructor(most: number) {
    let size = 16;
    while (size < most * 2) size *= 2;
    this.#mask = size - 1;
    this.#lefts = new Int32Array(size).fill(-1);
    this.#rights = new Int32Array(size);
    this.#ranks = new Int32Array(size);
    this.#merged = new Int32Array(most);
  }

  /** The last rank that a pair is given is the one it has. */
  set(left: number, right: number, rank: number, merged: number): void {
    const at = this.#place(left, right);
    this.#lefts[at] = left;
    this.#rights[at] = right;
    this.#ranks[at] = rank;
    this.#merged[rank] = merged;
  }

  /** @returns -1 where the pair is not merged */
  rankOf(left: number, right: number): number {
    const at = this.#place(left, right);
    return this.#lefts[at] === -1 ? -1 : (this.#ranks[at] as number);
  }

  mergedOf(rank: number): number {
    return this.#merged[rank] as number;
  }

  #place(left: number, right: number): number {
    const mixed = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    let at = (mixed ^ (mixed >>> 15)) & this.#mask;
    while (this.#lefts[at] !== -1 && (this.#lefts[at] !== left || this.#rights[at] !== right))
      at = (at + 1) & this.#mask;
    return at;
  }
}
