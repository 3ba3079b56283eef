import { StopMatcher } from './stop-matcher.js';
import type { TokenBytes } from './token-bytes.js';
import { Utf8Decoder } from './utf8-decoder.js';

/** Tokens whose text is decided, and that text. */
export interface WrittenText {
  readonly tokenIds: readonly number[];
  readonly text: string;
}

/** Tokens up to a place where no character is cut, and the text they add. */
interface Group {
  readonly tokenIds: number[];
  readonly text: string;
}

const nothing: WrittenText = { tokenIds: [], text: '' };

/**
 * Turns tokens into text as they are sampled. A token is given out when all of its text is decided: no character of it
 * is incomplete, and none may yet turn out to begin a stop text. So the ids given out and the text given out always
 * correspond, and a request that moves to another engine with those ids goes on exactly where its text ended.
 */
export class Detokenizer {
  readonly #bytes: TokenBytes;
  readonly #utf8 = new Utf8Decoder();
  readonly #stops: StopMatcher;
  /** Decided by UTF-8, held back for a stop text. */
  readonly #held: Group[] = [];
  #heldLength = 0;
  /** Tokens since the last whole character, and the text that became whole meanwhile. */
  #openIds: number[] = [];
  #openText = '';
  #stopped = false;
  /** Whether any token has shown as anything. */
  #hasBegun = false;

  constructor(bytes: TokenBytes, stops: readonly string[] = []) {
    this.#bytes = bytes;
    this.#stops = new StopMatcher(stops);
  }

  /** Whether a stop text was written. Nothing may be pushed after it. */
  get isStopped(): boolean {
    return this.#stopped;
  }

  /**
   * Goes through tokens that were given out before: neither they nor their text are given out again, also where the text
   * could yet begin a stop text. It is remembered for that alone.
   */
  resume(tokenIds: readonly number[]): void {
    for (const id of tokenIds) {
      if (this.#stopped) return;
      this.push(id);
    }
    this.#openIds = [];
    this.#openText = '';
    this.#held.length = 0;
    this.#heldLength = 0;
  }

  push(id: number): WrittenText {
    const piece = this.#utf8.push(this.#bytesOf(id));
    const stopAt = this.#stops.push(piece);
    this.#openIds.push(id);
    if (stopAt !== undefined) return this.#stop(piece, stopAt);
    this.#openText += piece;
    if (this.#utf8.isPending) return nothing;
    this.#held.push({ tokenIds: this.#openIds, text: this.#openText });
    this.#heldLength += this.#openText.length;
    this.#openIds = [];
    this.#openText = '';
    return this.#release(this.#stops.heldLength);
  }

  /** Gives out what is held back for a stop text: none reaches over this place. */
  cut(): WrittenText {
    this.#stops.reset();
    return this.#release(0);
  }

  /** What is left when no more tokens come. A character that was never completed is left out. */
  finish(): WrittenText {
    const rest = this.#release(0);
    return { tokenIds: [...rest.tokenIds, ...this.#openIds], text: rest.text + this.#openText };
  }

  #bytesOf(id: number): Uint8Array {
    const bytes = this.#bytes.of(id);
    if (this.#hasBegun || bytes.length === 0) return bytes;
    this.#hasBegun = true;
    return this.#bytes.firstOf(id);
  }

  #release(keepLength: number): WrittenText {
    let count = 0;
    while (count < this.#held.length) {
      const length = (this.#held[count] as Group).text.length;
      if (this.#heldLength - length < keepLength) break;
      this.#heldLength -= length;
      count++;
    }
    if (count === 0) return nothing;
    const groups = this.#held.splice(0, count);
    return { tokenIds: groups.flatMap(({ tokenIds }) => tokenIds), text: groups.map(({ text }) => text).join('') };
  }

  #stop(piece: string, stopAt: number): WrittenText {
    this.#stopped = true;
    const held = this.#release(0);
    const text = held.text + this.#openText + piece;
    const tokenIds = [...held.tokenIds, ...this.#openIds];
    this.#openIds = [];
    this.#openText = '';
    // It may have begun in text that was given out before this engine had the answer.
    return { tokenIds, text: text.slice(0, Math.max(0, text.length - piece.length + stopAt)) };
  }
}
