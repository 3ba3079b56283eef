import type { ContentKeys } from '../kv/prefix-store.js';
import { PromptLookup } from './prompt-lookup.js';

/** How tokens are guessed. */
export interface SpeculationOptions {
  /** The most that are guessed for one step: at least 1. */
  readonly tokens: number;
  /** Tokens that must have stood in the text before: from 1 to 8. */
  readonly ngram: number;
}

/** Guesses before it is known how good they are. */
const firstLength = 4;
/** Tokens that are written without a guess once again and again all of one was wrong. */
const longestPause = 64;

/**
 * Guesses the next tokens of one text, as many as have come true of late: twice as many as the last time where all of
 * them did, else as many as did. After one of which nothing was right it pauses, twice as long each time. What it does
 * hangs on the text alone, and on where it was asked.
 */
export class Speculator {
  readonly #most: number;
  readonly #endTokenIds: ReadonlySet<number>;
  readonly #lookup: PromptLookup;
  #length: number;
  #pause = 1;
  /** No guess before the text has so many positions. */
  #resumesAt = 0;

  /**
   * @param positions how long the text may become
   * @param endTokenIds tokens that end the text: nothing is computed after them, nor for them
   */
  constructor({ tokens, ngram }: SpeculationOptions, positions: number, endTokenIds: ReadonlySet<number>) {
    this.#most = tokens;
    this.#endTokenIds = endTokenIds;
    this.#lookup = new PromptLookup(ngram, positions);
    this.#length = Math.min(firstLength, tokens);
  }

  /** @param keys the text: at each call what it was at the last one, and what was written since */
  propose(keys: ContentKeys, most: number): readonly number[] {
    if (most <= 0 || keys.length < this.#resumesAt) return [];
    const proposed = this.#lookup.propose(keys, Math.min(most, this.#length));
    const end = proposed.findIndex((id) => this.#endTokenIds.has(id));
    return end < 0 ? proposed : proposed.slice(0, end);
  }

  /**
   * Tells what came of a guess.
   * @param positions of the text as it is now
   */
  settle(proposed: number, accepted: number, positions: number): void {
    if (accepted === 0) {
      this.#resumesAt = positions + this.#pause;
      this.#pause = Math.min(longestPause, 2 * this.#pause);
      this.#length = 1;
      return;
    }
    this.#pause = 1;
    // A guess may have been shorter than it was allowed to be.
    this.#length = accepted < proposed ? accepted : Math.min(this.#most, Math.max(this.#length, 2 * proposed));
  }
}
