/**
 * What stands at a position, as a number: positions of two sequences are the same where all numbers up to them are. NaN
 * is what can be the same as nothing.
 */
export type ContentKeys = readonly number[];

/** Whose positions may be used by whom, and what stands at them. */
export interface CacheContent {
  /** Sequences share nothing with those of another scope. */
  readonly scope: string;
  readonly keys: ContentKeys;
}

/** A beginning that was computed for a sequence which has left. */
interface KeptPrefix extends CacheContent {
  readonly id: number;
}

/** A beginning that is kept, and how many of its positions are of use. */
export interface PrefixMatch {
  readonly id: number;
  readonly positions: number;
}

/** How many positions from the first on are the same. */
export function commonPositions(a: ContentKeys, b: ContentKeys, most: number): number {
  const limit = Math.min(a.length, b.length, most);
  let count = 0;
  while (count < limit && a[count] === b[count]) count++;
  return count;
}

/**
 * Which beginnings the cache keeps of sequences that have left: knows what they are, not where they lie. The one that was
 * of use least recently goes first. A look goes through all of them, of which most differ within their first positions.
 */
export class PrefixStore {
  /** From the one used least recently to the last one used. */
  readonly #kept = new Map<number, KeptPrefix>();
  #nextId = 1;
  #positions = 0;

  /** Positions kept. */
  get positions(): number {
    return this.#positions;
  }

  /** The one that has the most positions in common. */
  longest({ scope, keys }: CacheContent, most: number): PrefixMatch | undefined {
    let best: PrefixMatch | undefined;
    for (const kept of this.#kept.values()) {
      if (kept.scope !== scope) continue;
      const positions = commonPositions(kept.keys, keys, most);
      if (positions > (best?.positions ?? 0)) best = { id: kept.id, positions };
    }
    return best;
  }

  /** Notes that one was of use. */
  touch(id: number): void {
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    this.#kept.delete(id);
    this.#kept.set(id, kept);
  }

  /**
   * Takes in a beginning, in place of those that it goes on from.
   * @returns its id, and those it replaces; undefined where it is a part of one that is kept
   */
  keep({ scope, keys }: CacheContent): { readonly id: number; readonly replaced: readonly number[] } | undefined {
    const replaced: number[] = [];
    for (const kept of this.#kept.values()) {
      if (kept.scope !== scope) continue;
      const common = commonPositions(kept.keys, keys, keys.length);
      if (common === keys.length) {
        this.touch(kept.id);
        return undefined;
      }
      if (common === kept.keys.length) replaced.push(kept.id);
    }
    for (const id of replaced) this.forget(id);
    const id = this.#nextId++;
    this.#kept.set(id, { id, scope, keys });
    this.#positions += keys.length;
    return { id, replaced };
  }

  forget(id: number): void {
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    this.#kept.delete(id);
    this.#positions -= kept.keys.length;
  }

  positionsOf(id: number): number {
    return this.#kept.get(id)?.keys.length ?? 0;
  }

  /** The one that was of use least recently, of those that are not to stay. */
  oldest(stays: (id: number) => boolean = () => false): number | undefined {
    for (const id of this.#kept.keys()) if (!stays(id)) return id;
    return undefined;
  }
}
