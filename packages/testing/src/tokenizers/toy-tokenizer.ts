/** A token of `added_tokens`. */
export interface ToyAddedToken {
  readonly id: number;
  readonly content: string;
}

/** The smallest tokenizer.json that is one: two letters, and the added tokens given, which are special. */
export function toyTokenizer(added: readonly ToyAddedToken[] = []): object {
  return {
    added_tokens: added.map((token) => ({ ...token, special: true, normalized: false })),
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] },
  };
}
