import { invalid } from '../invalid.js';
import { SortedTexts } from './sorted-texts.js';
import { type TokenModel, Vocabulary } from './vocabulary.js';

/** What an unknown character costs beside the least likely token, as sentencepiece has it. */
const unknownPenalty = 10;

/** What the `model` of tokenizer.json may hold for Unigram. */
export interface UnigramFields {
  /** [text, log likelihood], by id. */
  readonly vocab?: unknown;
  readonly unk_id?: unknown;
  readonly byte_fallback?: unknown;
}

/** Cuts a word where that is likeliest, by the likelihoods of its tokens. */
export class Unigram implements TokenModel {
  readonly vocabulary: Vocabulary;
  readonly #scores: Float64Array;
  readonly #unknown: number | undefined;
  readonly #unknownScore: number;
  readonly #byteTokens: readonly number[] | undefined;
  readonly #tokens: SortedTexts;

  /**
   * @param marks tokens that no word becomes
   * @throws TesseraError CHECKPOINT_INVALID naming the field
   */
  constructor(
    { vocab, unk_id: unknown, byte_fallback: fallsBack }: UnigramFields,
    private readonly marks: ReadonlySet<number>,
    where: string,
  ) {
    if (!Array.isArray(vocab) || vocab.length === 0) throw invalid(`${where}.vocab`, 'is not a list of tokens');
    this.vocabulary = new Vocabulary(
      vocab.map((entry: unknown, id) => [Array.isArray(entry) ? entry[0] : entry, id] as const),
      `${where}.vocab`,
    );
    this.#scores = Float64Array.from(vocab as readonly unknown[][], (entry) => Number(entry[1]));
    const wrong = this.#scores.findIndex((score) => !Number.isFinite(score));
    if (wrong >= 0) throw invalid(`${where}.vocab[${wrong}]`, 'has no likelihood');
    if (unknown !== undefined && unknown !== null) {
      if (typeof unknown !== 'number' || vocab[unknown] === undefined) {
        throw invalid(`${where}.unk_id`, `${JSON.stringify(unknown)} is no token`);
      }
      this.#unknown = unknown;
    }
    this.#unknownScore = this.#scores.reduce((least, score) => Math.min(least, score)) - unknownPenalty;
    this.#byteTokens = fallsBack === true ? this.vocabulary.byteTokens() : undefined;
    // What reads like a byte's name is no byte.
    const bytes = new Set(this.#byteTokens);
    const isWord = ([, id]: readonly [string, number]): boolean => !marks.has(id) && !bytes.has(id);
    this.#tokens = new SortedTexts(new Map([...this.vocabulary.ids].filter(isWord)));
  }

  encode(word: string): number[] {
    const size = word.length;
    const scores = new Float64Array(size + 1);
    /** By where a token ends: where the likeliest begins, and which it is. */
    const froms = new Int32Array(size + 1).fill(-1);
    const ids = new Int32Array(size + 1);
    for (let at = 0; at < size; ) {
      const before = scores[at] as number;
      const step = (word.codePointAt(at) as number) > 0xffff ? 2 : 1;
      let single = false;
      const reach = (end: number, id: number, score: number): void => {
        if (froms[end] !== -1 && before + score <= (scores[end] as number)) return;
        scores[end] = before + score;
        froms[end] = at;
        ids[end] = id;
      };
      this.#tokens.beginningsAt(word, at, (length, id) => {
        single ||= length === step;
        reach(at + length, id, this.#scores[id] as number);
      });
      if (!single) reach(at + step, unknownToken, this.#unknownScore);
      at += step;
    }
    const found: number[] = [];
    for (let end = size; end > 0; ) {
      let from = froms[end] as number;
      if (ids[end] !== unknownToken && ids[end] !== this.#unknown) {
        found.push(ids[end] as number);
      } else {
        // What is unknown side by side is one unknown word.
        while (from > 0 && (ids[from] === unknownToken || ids[from] === this.#unknown)) from = froms[from] as number;
        for (const id of this.#unknownWord(word.slice(from, end))) found.push(id);
      }
      end = from;
    }
    return found.reverse();
  }

  /** Its tokens, the last first. */
  #unknownWord(text: string): number[] {
    const known = this.vocabulary.ids.get(text);
    if (known !== undefined && !this.marks.has(known)) return [known];
    const bytes = this.#byteTokens;
    if (bytes !== undefined) return [...Buffer.from(text, 'utf8')].map((byte) => bytes[byte] as number).reverse();
    return this.#unknown === undefined ? [] : [this.#unknown];
  }
}

const unknownToken = -1;
