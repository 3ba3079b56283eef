import type { TokenBytes } from '../text/token-bytes.js';
import type { ConstraintVocabulary } from './constraints.js';
import { TokenTrie } from './token-trie.js';

/** A model's tokens as texts are held to forms with them. */
export function constraintVocabulary(
  bytes: TokenBytes,
  vocabSize: number,
  endTokenIds: readonly number[],
): ConstraintVocabulary {
  const within = bytes.all(vocabSize);
  const first = within.map((token, id) => (token.length === 0 ? token : bytes.firstOf(id)));
  const differs = first.some((token, id) => token.length !== (within[id] as Uint8Array).length);
  const silent = first.flatMap((token, id) =>
    token.length === 0 && (within[id] as Uint8Array).length > 0 ? [id] : [],
  );
  return {
    trie: new TokenTrie(within, endTokenIds),
    bytesOf: (id) => bytes.of(id),
    first: differs
      ? { trie: new TokenTrie(first, endTokenIds), bytesOf: (id) => bytes.firstOf(id), silent }
      : undefined,
    endTokenIds,
  };
}
