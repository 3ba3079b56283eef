/** The bytes of a vocabulary's tokens, by id; none where a token is not written as text. */
export type Vocabulary = readonly Uint8Array[];

/**
 * The tokens of a vocabulary by their bytes, common beginnings once: nodes in the order in which one goes through the tree,
 * each with how deep it lies, so that going through it is going through arrays.
 */
export class TokenTrie {
  /** How many tokens the vocabulary has. */
  readonly vocabularySize: number;
  /** By node, its byte. */
  readonly bytes: Uint8Array;
  /** By node, the bytes before it. */
  readonly depths: Uint16Array;
  /** By node, the first one after all that begins with it. */
  readonly ends: Int32Array;
  /** By node, where the tokens that end in it begin in `tokenIds`; one more at the end. */
  readonly tokensFrom: Int32Array;
  readonly tokenIds: Int32Array;
  /** The most bytes of a token. */
  readonly longest: number;

  /** @param endTokenIds tokens that end a text, and are no part of it whatever bytes they have */
  constructor(vocabulary: Vocabulary, endTokenIds: readonly number[]) {
    this.vocabularySize = vocabulary.length;
    const ids = vocabulary.flatMap((bytes, id) => (bytes.length > 0 && !endTokenIds.includes(id) ? [id] : []));
    const bytesOf = (id: number): Uint8Array => vocabulary[id] as Uint8Array;
    // Texts are compared much faster than arrays of bytes.
    const keys = vocabulary.map((token) =>
      Buffer.from(token.buffer, token.byteOffset, token.length).toString('latin1'),
    );
    ids.sort((a, b) => {
      const [one, other] = [keys[a] as string, keys[b] as string];
      return one < other ? -1 : one > other ? 1 : a - b;
    });
    this.tokenIds = Int32Array.from(ids);
    const bytes: number[] = [];
    const depths: number[] = [];
    const tokensFrom: number[] = [];
    let before: Uint8Array = new Uint8Array(0);
    let longest = 0;
    for (const [place, id] of ids.entries()) {
      const token = bytesOf(id);
      let shared = 0;
      while (shared < before.length && shared < token.length && before[shared] === token[shared]) shared++;
      // A token ends in the last of its nodes: the next node's tokens begin after it and those with the same bytes.
      for (let depth = shared; depth < token.length; depth++) {
        bytes.push(token[depth] as number);
        depths.push(depth);
        tokensFrom.push(place);
      }
      longest = Math.max(longest, token.length);
      before = token;
    }
    tokensFrom.push(ids.length);
    this.bytes = Uint8Array.from(bytes);
    this.depths = Uint16Array.from(depths);
    this.ends = endsOf(this.depths);
    this.longest = longest;
    this.tokensFrom = Int32Array.from(tokensFrom);
  }
}

/** By node, the first later one that is no deeper. */
function endsOf(depths: Uint16Array): Int32Array {
  const ends = new Int32Array(depths.length);
  const open: number[] = [];
  for (let node = 0; node <= depths.length; node++) {
    const depth = node < depths.length ? (depths[node] as number) : 0;
    while (open.length > depth) ends[open.pop() as number] = node;
    open.push(node);
  }
  return ends;
}
