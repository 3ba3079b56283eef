import { invalid } from '../invalid.js';
import { MergeTable } from './merge-table.js';
import { mostTokens, shown, type TokenModel, Vocabulary } from './vocabulary.js';

/** Words whose ids are kept, and the UTF-16 units that one has at most. */
const mostKept = 16_384;
const longestKept = 64;

/** What the `model` of tokenizer.json may hold for BPE. */
export interface BpeFields {
  readonly vocab?: unknown;
  readonly merges?: unknown;
  readonly unk_token?: unknown;
  readonly dropout?: unknown;
  readonly continuing_subword_prefix?: unknown;
  readonly end_of_word_suffix?: unknown;
  readonly fuse_unk?: unknown;
  readonly byte_fallback?: unknown;
  readonly ignore_merges?: unknown;
}

/**
 * Byte pair encoding: of all pairs in a word the one merged first in training is merged first, from the left. A word can be a
 * whole text, so that takes time in proportion to its length, but for a logarithm.
 */
export class Bpe implements TokenModel {
  readonly vocabulary: Vocabulary;
  readonly #merges: MergeTable;
  readonly #unknown: number | undefined;
  readonly #fusesUnknown: boolean;
  readonly #byteTokens: readonly number[] | undefined;
  readonly #takesWholeWords: boolean;
  readonly #kept = new Map<string, readonly number[]>();

  /**
   * @param marks tokens that no word becomes
   * @throws TesseraError CHECKPOINT_INVALID naming the field
   */
  constructor(
    fields: BpeFields,
    private readonly marks: ReadonlySet<number>,
    where: string,
  ) {
    const { vocab, merges, unk_token: unknown } = fields;
    for (const name of ['continuing_subword_prefix', 'end_of_word_suffix'] as const) {
      if ((fields[name] ?? '') !== '') throw invalid(`${where}.${name}`, 'is not supported');
    }
    if ((fields.dropout ?? 0) !== 0) throw invalid(`${where}.dropout`, 'is not supported');
    if (typeof vocab !== 'object' || vocab === null || Array.isArray(vocab)) {
      throw invalid(`${where}.vocab`, 'is not an object');
    }
    if (!Array.isArray(merges)) throw invalid(`${where}.merges`, 'is not a list');
    if (merges.length > mostMerges) {
      throw invalid(`${where}.merges`, `are ${merges.length}; at most ${mostMerges} are taken`);
    }
    this.vocabulary = new Vocabulary(entriesOf(vocab), `${where}.vocab`);
    this.#unknown = typeof unknown === 'string' ? this.vocabulary.ids.get(unknown) : undefined;
    this.#fusesUnknown = fields.fuse_unk === true;
    this.#byteTokens = fields.byte_fallback === true ? this.vocabulary.byteTokens() : undefined;
    this.#takesWholeWords = fields.ignore_merges === true;
    this.#merges = this.#readMerges(merges, `${where}.merges`);
  }

  encode(word: string): number[] {
    const whole = this.#takesWholeWords ? this.vocabulary.ids.get(word) : undefined;
    if (whole !== undefined && !this.marks.has(whole)) return [whole];
    if (word.length > longestKept) return this.#merged(this.#characters(word));
    let ids = this.#kept.get(word);
    if (ids === undefined) {
      ids = this.#merged(this.#characters(word));
      if (this.#kept.size >= mostKept) this.#kept.clear();
      this.#kept.set(word, ids);
    }
    return ids.slice();
  }

  #readMerges(merges: readonly unknown[], where: string): MergeTable {
    const { ids } = this.vocabulary;
    const table = new MergeTable(merges.length);
    for (let rank = 0; rank < merges.length; rank++) {
      const merge = merges[rank];
      const pair: readonly unknown[] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
      const [left, right] = pair;
      if (pair.length !== 2 || typeof left !== 'string' || typeof right !== 'string') {
        throw invalid(`${where}[${rank}]`, `${shown(merge)} is no pair of tokens`);
      }
      const [leftId, rightId, merged] = [ids.get(left), ids.get(right), ids.get(left + right)];
      if (leftId === undefined || rightId === undefined || merged === undefined) {
        throw invalid(`${where}[${rank}]`, `${shown(merge)} are no tokens of the vocabulary, or not together`);
      }
      if (!this.marks.has(merged)) table.set(leftId, rightId, rank, merged);
    }
    return table;
  }

  /** The tokens of a word's characters; those it lacks as bytes, or as unknown. */
  #characters(word: string): number[] {
    const { ids } = this.vocabulary;
    const found: number[] = [];
    let isUnknown = false;
    for (const character of word) {
      const id = ids.get(character);
      const wasUnknown = isUnknown;
      isUnknown = false;
      if (id !== undefined) found.push(id);
      else if (this.#byteTokens !== undefined) {
        for (const byte of Buffer.from(character, 'utf8')) found.push(this.#byteTokens[byte] as number);
      } else if (this.#unknown !== undefined) {
        isUnknown = true;
        if (!wasUnknown || !this.#fusesUnknown) found.push(this.#unknown);
      }
    }
    return found;
  }

  #merged(ids: number[]): number[] {
    const merges = this.#merges;
    const length = ids.length;
    if (length < 2) return ids;
    const next = Int32Array.from(ids, (_, at) => at + 1);
    const before = Int32Array.from(ids, (_, at) => at - 1);
    const due = new PairQueue();
    const consider = (at: number): void => {
      const rank = merges.rankOf(ids[at] as number, ids[next[at] as number] as number);
      if (rank >= 0) due.push(rank, at);
    };
    for (let at = 0; at + 1 < length; at++) consider(at);
    for (let pair = due.pop(); pair !== undefined; pair = due.pop()) {
      const { rank, at } = pair;
      const right = next[at] as number;
      if (ids[at] === gone || right >= length) continue;
      // Its tokens may have been merged with others since.
      const now = merges.rankOf(ids[at] as number, ids[right] as number);
      if (now < 0 || merges.mergedOf(now) !== merges.mergedOf(rank)) continue;
      ids[at] = merges.mergedOf(rank);
      ids[right] = gone;
      const after = next[right] as number;
      next[at] = after;
      if (after < length) {
        before[after] = at;
        consider(at);
      }
      const left = before[at] as number;
      if (left >= 0) consider(left);
    }
    return ids.filter((id) => id !== gone);
  }
}

/** In place of a token that was merged into the one before it. */
const gone = -1;
const mostMerges = 4 * mostTokens;

function* entriesOf(vocab: object): Iterable<readonly [string, unknown]> {
  for (const text in vocab) yield [text, (vocab as Record<string, unknown>)[text]];
}

/** Pairs by rank, then by place: a heap of numbers that hold both. */
class PairQueue {
  readonly #heap: number[] = [];

  push(rank: number, at: number): void {
    const heap = this.#heap;
    const key = rank * places + at;
    let child = heap.length;
    heap.push(key);
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if ((heap[parent] as number) <= key) break;
      heap[child] = heap[parent] as number;
      child = parent;
    }
    heap[child] = key;
  }

  pop(): { readonly rank: number; readonly at: number } | undefined {
    const heap = this.#heap;
    const least = heap[0];
    const last = heap.pop();
    if (least === undefined || last === undefined) return undefined;
    if (heap.length > 0) {
      let parent = 0;
      for (let child = 1; child < heap.length; child = 2 * parent + 1) {
        if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child++;
        if ((heap[child] as number) >= last) break;
        heap[parent] = heap[child] as number;
        parent = child;
      }
      heap[parent] = last;
    }
    return { rank: Math.floor(least / places), at: least % places };
  }
}

/** More than a word has characters: no string of JavaScript has so many. */
const places = 2 ** 30;
