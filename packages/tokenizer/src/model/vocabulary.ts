import { invalid } from '../invalid.js';

/** Ids from here on are none of a vocabulary: published ones have up to 256,000 words. */
export const mostTokens = 1 << 20;
/** UTF-16 units of one token. */
const longestToken = 65_536;

/** A vocabulary's texts by id, and back. */
export class Vocabulary {
  /** By id; undefined where there is no such token. */
  readonly texts: readonly (string | undefined)[];
  readonly ids: ReadonlyMap<string, number>;

  /** @throws TesseraError CHECKPOINT_INVALID where a token or an id is none */
  constructor(tokens: Iterable<readonly [text: string, id: unknown]>, where: string) {
    const texts: (string | undefined)[] = [];
    const ids = new Map<string, number>();
    for (const [text, id] of tokens) {
      if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= mostTokens) {
        throw invalid(where, `the id of ${shown(text)} is ${JSON.stringify(id)}, not one from 0 to ${mostTokens - 1}`);
      }
      if (typeof text !== 'string') throw invalid(where, `token ${id} is no text`);
      if (text.length > longestToken) throw invalid(where, `token ${id} has ${text.length} characters`);
      // A list without holes, which is much smaller.
      while (texts.length <= id) texts.push(undefined);
      texts[id] = text;
      ids.set(text, id);
    }
    this.texts = texts;
    this.ids = ids;
  }

  /** The tokens that stand for single bytes, `<0x00>` to `<0xFF>`, by byte; undefined unless all are there. */
  byteTokens(): readonly number[] | undefined {
    const found = Array.from({ length: 256 }, (_, byte) => this.ids.get(byteToken(byte)));
    return found.every((id) => id !== undefined) ? found : undefined;
  }
}

/** How a vocabulary names the token of a byte. */
export function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

/** A token as an error shows it. */
export function shown(token: unknown): string {
  const text = JSON.stringify(token) ?? String(token);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** Turns a word into ids. */
export interface TokenModel {
  readonly vocabulary: Vocabulary;
  encode(word: string): number[];
}
