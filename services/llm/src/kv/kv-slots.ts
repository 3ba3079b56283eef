import type { CacheOperation } from '../model/step-plan.js';

/** A sequence as far as its slot is concerned. */
export interface SlotOwner {
  /** Written by KvSlots alone; -1 without a slot. */
  slot: number;
  /** Rows of the slot in use: positions computed so far. */
  readonly cachedTokens: number;
}

export interface KvSlotsOptions<O> {
  /** Told what is to be done to the cache before anything else is computed. */
  readonly record: (operation: CacheOperation) => void;
  /** Rows that an owner's slot holds at the moment. */
  readonly rowsOf: (owner: O) => number;
}

/**
 * Who has which slot. Slots in use are a prefix of all, and those that decode are a prefix of it, so that a decode batch
 * is a view of the cache and nothing is copied to form it. Only when a sequence starts decoding or leaves is another
 * moved into its place: what that does to the cache is told as operations for the next step.
 */
export class KvSlots<O extends SlotOwner> {
  readonly #owners: O[] = [];
  #decoding = 0;

  /** @param slots the most that there can be */
  constructor(
    private readonly slots: number,
    private readonly options: KvSlotsOptions<O>,
  ) {}

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

  /** All that have a slot. */
  owners(): readonly O[] {
    return this.#owners;
  }

  /** The longest sequence, in rows. */
  longest(): number {
    return this.#owners.reduce((longest, owner) => Math.max(longest, owner.cachedTokens), 0);
  }

  acquire(owner: O): void {
    if (this.free === 0) throw new Error('no free slot');
    owner.slot = this.#owners.push(owner) - 1;
  }

  /** Lets a prefilled sequence join the decode batch. */
  promote(owner: O): void {
    const other = this.#owners[this.#decoding] as O;
    if (other !== owner) {
      const { record, rowsOf } = this.options;
      const rows = Math.max(rowsOf(owner), rowsOf(other));
      record({ type: 'swap', a: owner.slot, b: other.slot, rows });
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

  /** Takes all slots back; nothing is to be done to the cache for it. */
  clear(): void {
    for (const owner of this.#owners.splice(0)) owner.slot = -1;
    this.#decoding = 0;
  }

  /** Moves the owner of slot `from` into the hole; the hole is then at `from`. */
  #fill(hole: number, from: number): number {
    if (hole !== from) {
      const owner = this.#owners[from] as O;
      const { record, rowsOf } = this.options;
      record({ type: 'copy', from, to: hole, rows: rowsOf(owner) });
      this.#put(owner, hole);
    }
    return from;
  }

  #put(owner: O, slot: number): void {
    this.#owners[slot] = owner;
    owner.slot = slot;
  }
}
