import type { Tokenizer } from '@tessera/tokenizer';

/** The bytes each token id shows as. Special tokens, and ids without a token, show as nothing. */
export class TokenBytes {
  readonly #tokenizer: Tokenizer;
  readonly #known = new Map<number, Uint8Array>();

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** Those of a token within a text. */
  of(id: number): Uint8Array {
    let bytes = this.#known.get(id);
    if (bytes === undefined) {
      bytes = this.#tokenizer.bytesOf(id);
      this.#known.set(id, bytes);
    }
    return bytes;
  }

  /** Those of the first token of an answer that shows as anything: vocabularies may have a space before its word. */
  firstOf(id: number): Uint8Array {
    return this.#tokenizer.firstBytesOf(id);
  }

  /** Those of ids 0 to `count`, exclusive, within a text; none of them is kept. */
  all(count: number): Uint8Array[] {
    return Array.from({ length: count }, (_, id) => this.#known.get(id) ?? this.#tokenizer.bytesOf(id));
  }
}
