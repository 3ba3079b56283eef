import type { CacheOperation } from '../model/step-plan.js';

/** A sequence as far as its slot is concerned. */
export interface SlotOwner {
  /** Written by KvSlots alone; -1 without a slot. */
  slot: number;
  /** Rows of the slot in use: positions computed so far. */
  readonly cachedTokens: number;
}

/**
 * Who has which slot. Slots in use are a prefix of all, and those that decode are a prefix of it, so that a decode batch
 * is a view of the cache and nothing is copied to form it. Only when a sequence starts decoding or leaves is another
 * moved into its place: what that does to the cache is told as operations for the next step.
 */
export class KvSlots<O extends SlotOwner> {
  readonly #owners: O[] = [];
  #decoding = 0;
  #operations: CacheOperation[] = [];

  /** @param slots the most that there can be */
  constructor(private readonly slots: number) {}

  get inUse(): number {
    return this.#owners.length;
  }

  get free(): number {
    return this.slots - this.#owners.length;
  }

  /** The sequences that decode: the one in slot n at index n. */
  decoding(): readonly O[] {
    return this.#owners.slice(0, this.#decoding);
  }

  /** The longest sequence, in rows. */
  longest(): number {
    return this.#owners.reduce((longest, owner) => Math.max(longest, owner.cachedTokens), 0);
  }

  acquire(owner: O): void {
    if (this.free === 0) throw new Error('no free slot');
    owner.slot = this.#owners.push(owner) - 1;
  }

  /** What changed since this was last asked, to be done to the cache before anything is computed. */
  takeOperations(): CacheOperation[] {
    const operations = this.#operations;
    this.#operations = [];
    return operations;
  }

  /** Lets a prefilled sequence join the decode batch. */
  promote(owner: O): void {
    const other = this.#owners[this.#decoding] as O;
    if (other !== owner) {
      const rows = Math.max(owner.cachedTokens, other.cachedTokens);
      this.#operations.push({ type: 'swap', a: owner.slot, b: other.slot, rows });
      this.#put(other, owner.slot);
      this.#put(owner, this.#decoding);
    }
    this.#decoding++;
  }

  /** Takes the slot back; does nothing when there is none. */
  release(owner: O): void {
    if (owner.slot < 0) return;
    let hole = owner.slot;
    owner.slot = -1;
    if (hole < this.#decoding) hole = this.#fill(hole, --this.#decoding);
    this.#fill(hole, this.#owners.length - 1);
    this.#owners.pop();
  }

  /** Moves the owner of slot `from` into the hole; the hole is then at `from`. */
  #fill(hole: number, from: number): number {
    if (hole !== from) {
      const owner = this.#owners[from] as O;
      this.#operations.push({ type: 'copy', from, to: hole, rows: owner.cachedTokens });
      this.#put(owner, hole);
    }
    return from;
  }

  #put(owner: O, slot: number): void {
    this.#owners[slot] = owner;
    owner.slot = slot;
  }
}
