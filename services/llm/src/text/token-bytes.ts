import type { TextTokenizer } from '../prompt/text-tokenizer.js';
import { byteLevelBytes } from './byte-level.js';

const nothing = new Uint8Array(0);

/** The bytes each token id shows as. Special tokens, and ids without a token, show as nothing. */
export class TokenBytes {
  readonly #tokenizer: TextTokenizer;
  readonly #known = new Map<number, Uint8Array>();

  constructor(tokenizer: TextTokenizer) {
    this.#tokenizer = tokenizer;
    for (const { id, content, special } of tokenizer.addedTokens) {
      this.#known.set(id, special ? nothing : new TextEncoder().encode(content));
    }
  }

  of(id: number): Uint8Array {
    let bytes = this.#known.get(id);
    if (bytes === undefined) {
      bytes = this.#read(id);
      this.#known.set(id, bytes);
    }
    return bytes;
  }

  /** Those of ids 0 to `count`, exclusive; none of them is kept. */
  all(count: number): Uint8Array[] {
    return Array.from({ length: count }, (_, id) => this.#known.get(id) ?? this.#read(id));
  }

  #read(id: number): Uint8Array {
    const token = this.#tokenizer.rawToken(id);
    return token === undefined ? nothing : byteLevelBytes(token);
  }
}
