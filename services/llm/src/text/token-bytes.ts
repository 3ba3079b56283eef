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
      const token = this.#tokenizer.rawToken(id);
      bytes = token === undefined ? nothing : byteLevelBytes(token);
      this.#known.set(id, bytes);
    }
    return bytes;
  }
}
