import type { ContentKeys } from '../kv/prefix-store.js';

/** Places that agree so far back are told apart no further. */
const longestMatch = 8;
/** Earlier places that are looked at, newest first, so that a text of one word costs no more than others. */
const mostPlaces = 32;
/** Chains of places; more of them would be empty in most texts. */
const mostChains = 65_536;

/**
 * Guesses how a text goes on: as it did the last time that its newest tokens stood in it, at the place that agrees with
 * them furthest back. (Prompt lookup: Saxena, 2023; found as LZ77 finds what repeats.)
 *
 * Places lie in chains by a hash of the tokens that end there, newest first. A text of n positions takes about 12 n bytes.
 */
export class PromptLookup {
  readonly #shortest: number;
  /** The newest place of each chain; -1 where there is none. */
  readonly #newest: Int32Array;
  /** Of each place, the one before it in its chain; -1 at the end. */
  readonly #before: number[] = [];

  /**
   * @param shortest tokens that must agree
   * @param positions how long the text may become
   */
  constructor(shortest: number, positions: number) {
    this.#shortest = shortest;
    const chains = 2 ** Math.ceil(Math.log2(Math.max(2, Math.min(positions, mostChains))));
    this.#newest = new Int32Array(chains).fill(-1);
  }

  /**
   * @param keys the text: at each call what it was at the last one, and what was written since
   * @returns token ids, at most so many; a place without a token, as in a picture, is where they end
   */
  propose(keys: ContentKeys, most: number): number[] {
    const last = keys.length - 1;
    this.#addPlaces(keys, last);
    const place = this.#longestMatch(keys, last);
    if (place === undefined) return [];
    const proposed: number[] = [];
    const period = last - place;
    for (let n = 0; n < most; n++) {
      // What reaches the end of the text goes on by repeating itself.
      const key = (n < period ? keys[place + 1 + n] : proposed[n - period]) as number;
      // Also true of what is not a number.
      if (!(key >= 0)) break;
      proposed.push(key);
    }
    return proposed;
  }

  /** All places before the newest, which would agree with itself. */
  #addPlaces(keys: ContentKeys, last: number): void {
    for (let place = this.#before.length; place < last; place++) {
      if (place < this.#shortest - 1) {
        this.#before.push(-1);
        continue;
      }
      const chain = this.#chainOf(keys, place);
      this.#before.push(this.#newest[chain] as number);
      this.#newest[chain] = place;
    }
  }

  /** The place before the last that agrees with it furthest back; of equal ones the newest. */
  #longestMatch(keys: ContentKeys, last: number): number | undefined {
    if (last < this.#shortest) return undefined;
    let best: number | undefined;
    let longest = this.#shortest - 1;
    let place = this.#newest[this.#chainOf(keys, last)] as number;
    for (let looked = 0; place >= 0 && looked < mostPlaces && longest < longestMatch; looked++) {
      const length = commonBackwards(keys, place, last);
      if (length > longest) {
        longest = length;
        best = place;
      }
      place = this.#before[place] as number;
    }
    return best;
  }

  #chainOf(keys: ContentKeys, place: number): number {
    let hash = 0;
    for (let n = 0; n < this.#shortest; n++) hash = Math.imul(hash ^ (keys[place - n] as number), 0x9e3779b1);
    return (hash >>> 15) & (this.#newest.length - 1);
  }
}

/** How many keys are the same from two places backwards, as far as that is told. */
function commonBackwards(keys: ContentKeys, a: number, b: number): number {
  let count = 0;
  while (count < longestMatch && count <= a && keys[a - count] === keys[b - count]) count++;
  return count;
}
