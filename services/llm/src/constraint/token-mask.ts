import type { AutomatonState, ByteAutomaton } from './byte-automaton.js';
import type { TokenTrie } from './token-trie.js';

/** Up to this share of a vocabulary a mask holds the ids of what is allowed, else a bit for each token. */
const fewShare = 1 / 8;

/** Which tokens may come: ids in order where they are few, else a bit a token, by id. */
export type TokenMask =
  | { readonly type: 'few'; readonly ids: Int32Array }
  | { readonly type: 'many'; readonly bits: Uint32Array };

export function maskBytes(mask: TokenMask): number {
  return mask.type === 'few' ? mask.ids.byteLength : mask.bits.byteLength;
}

/** What was found out about a call alone. */
export interface InnerMask {
  /** Tokens that stay within it. */
  readonly bits: Uint32Array;
  /** Beginnings of tokens after which the call may be complete: their nodes and bytes. */
  readonly leavings: readonly { readonly node: number; readonly path: Uint8Array }[];
}

/** Finds what is known of a call alone, or makes it. */
type InnerMasks = (inner: AutomatonState, make: () => InnerMask) => InnerMask;

/**
 * Finds the tokens that keep a text within its form: goes through the tree of their bytes with the automaton, and past all
 * that begins as nothing may. What stays within the call that the text is in, a string say, is the same wherever that
 * stands, and found out once; only tokens that may leave it are gone through for each place.
 * @param endTokenIds tokens that end a text: allowed where it may end
 * @param silent tokens that are allowed in any case, as they write nothing
 */
export function tokenMask(
  automaton: ByteAutomaton,
  state: AutomatonState,
  trie: TokenTrie,
  endTokenIds: readonly number[],
  innerMasks: InnerMasks,
  silent: readonly number[] = [],
): TokenMask {
  const inner = automaton.innermost(state);
  let bits: Uint32Array;
  if (inner === undefined) {
    bits = emptyBits(trie);
    walk(automaton, state, trie, 0, trie.bytes.length, bits);
  } else {
    const known = innerMasks(inner, () => innerMask(automaton, inner, trie));
    bits = known.bits.slice();
    for (const { node, path } of known.leavings) {
      let after: AutomatonState | null = state;
      for (const byte of path) after = after && (after.next[byte] ?? automaton.step(after, byte));
      if (after === null) continue;
      allowTokens(trie, node, bits);
      walk(automaton, after, trie, node + 1, trie.ends[node] as number, bits);
    }
  }
  if (state.isAccepting) for (const id of endTokenIds) allow(bits, id);
  for (const id of silent) allow(bits, id);
  const allowed = countOf(bits);
  return allowed <= trie.vocabularySize * fewShare
    ? { type: 'few', ids: idsOf(bits, allowed) }
    : { type: 'many', bits };
}

function innerMask(automaton: ByteAutomaton, inner: AutomatonState, trie: TokenTrie): InnerMask {
  const bits = emptyBits(trie);
  const leavings: { node: number; path: Uint8Array }[] = [];
  const path = new Uint8Array(trie.longest);
  walk(automaton, inner, trie, 0, trie.bytes.length, bits, (node, next) => {
    const depth = trie.depths[node] as number;
    path[depth] = trie.bytes[node] as number;
    if (next.isAccepting) leavings.push({ node, path: path.slice(0, depth + 1) });
    return next.isAccepting;
  });
  return { bits, leavings };
}

/**
 * Allows the tokens of a part of the tree that lead on.
 * @param state before the first of the nodes
 * @param isElsewhere asked of each node that leads on; what begins with one of which it is true is left out
 */
function walk(
  automaton: ByteAutomaton,
  state: AutomatonState,
  trie: TokenTrie,
  from: number,
  to: number,
  bits: Uint32Array,
  isElsewhere?: (node: number, next: AutomatonState) => boolean,
): void {
  if (from >= to) return;
  const { bytes, depths, ends } = trie;
  const states: AutomatonState[] = new Array(trie.longest + 1);
  states[depths[from] as number] = state;
  for (let node = from; node < to; ) {
    const depth = depths[node] as number;
    const before = states[depth] as AutomatonState;
    const byte = bytes[node] as number;
    let next = before.next[byte];
    if (next === undefined) next = automaton.step(before, byte);
    if (next === null || isElsewhere?.(node, next)) {
      node = ends[node] as number;
      continue;
    }
    states[depth + 1] = next;
    allowTokens(trie, node, bits);
    node++;
  }
}

function allowTokens({ tokensFrom, tokenIds }: TokenTrie, node: number, bits: Uint32Array): void {
  const end = tokensFrom[node + 1] as number;
  for (let at = tokensFrom[node] as number; at < end; at++) allow(bits, tokenIds[at] as number);
}

function allow(bits: Uint32Array, id: number): void {
  bits[id >> 5] = (bits[id >> 5] as number) | (1 << (id & 31));
}

function emptyBits({ vocabularySize }: TokenTrie): Uint32Array {
  return new Uint32Array(Math.ceil(vocabularySize / 32));
}

function countOf(bits: Uint32Array): number {
  let count = 0;
  for (const word of bits) {
    let left = word - ((word >>> 1) & 0x55555555);
    left = (left & 0x33333333) + ((left >>> 2) & 0x33333333);
    count += Math.imul((left + (left >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return count;
}

function idsOf(bits: Uint32Array, count: number): Int32Array {
  const ids = new Int32Array(count);
  let found = 0;
  for (const [word, all] of bits.entries()) {
    for (let left = all; left !== 0; left &= left - 1) ids[found++] = word * 32 + 31 - Math.clz32(left & -left);
  }
  return ids.subarray(0, found);
}
