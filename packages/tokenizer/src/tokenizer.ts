import { type AddedToken, AddedTokenSplitter, isWhiteSpace, readAddedTokens, type Section } from './added-tokens.js';
import { deeper, invalid, partList, typedPart } from './invalid.js';
import { Bpe } from './model/bpe.js';
import { Unigram } from './model/unigram.js';
import type { TokenModel } from './model/vocabulary.js';
import { decoderOf, type TokenDecoder } from './steps/decoder.js';
import { type Normalizer, normalizerOf } from './steps/normalizers.js';
import { type PreTokenizer, preTokenizerOf } from './steps/pre-tokenizers.js';
import { withinTime } from './template/bounded.js';
import { TokenLetters } from './token-letters.js';

/**
 * What tokenizer.json says: texts become the ids that the tokenizers library gives. Which texts may hold added tokens is the
 * caller's to say: `split` finds them, `encode` does not.
 */
export class Tokenizer {
  readonly addedTokens: readonly AddedToken[];
  /** The most UTF-16 units that one token stands for; so `maxTokens * longestToken` bounds any text that could fit. */
  readonly longestToken: number;
  /** One more than the largest id. */
  readonly size: number;
  /** Added tokens that a text begins with where it is no conversation: the beginning of a sequence, most often. */
  readonly prefix: readonly AddedToken[];
  readonly #byId: ReadonlyMap<number, AddedToken>;
  readonly #normalize: Normalizer;
  readonly #cut: PreTokenizer;
  readonly #model: TokenModel;
  readonly #decoder: TokenDecoder;
  readonly #rawSplitter: AddedTokenSplitter;
  readonly #normalizedSplitter: AddedTokenSplitter | undefined;
  #letters: TokenLetters | undefined;

  /**
   * @param json the parsed file
   * @param file its name, in errors
   * @throws TesseraError CHECKPOINT_INVALID naming the part that is wrong, or not built
   */
  constructor(json: unknown, file = 'tokenizer.json') {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) throw invalid(file, 'is not a JSON object');
    const parts = json as Readonly<Record<string, unknown>>;
    this.addedTokens = readAddedTokens(parts, file);
    this.#normalize = normalizerOf(parts.normalizer, `${file}: normalizer`);
    this.#cut = preTokenizerOf(parts.pre_tokenizer, `${file}: pre_tokenizer`);
    this.#model = modelOf(parts.model, marksOf(this.addedTokens), `${file}: model`);
    this.#decoder = decoderOf(parts.decoder, `${file}: decoder`);
    this.#byId = new Map(this.addedTokens.map((token) => [token.id, token]));
    const normalized = this.addedTokens.filter((token) => token.normalized);
    this.#rawSplitter = new AddedTokenSplitter(this.addedTokens.filter((token) => !token.normalized));
    if (normalized.length > 0) {
      this.#normalizedSplitter = tried(() => new AddedTokenSplitter(normalized, this.#normalize), file);
    }
    const { texts } = this.#model.vocabulary;
    if (this.#decoder.isCostly) {
      tried(() => {
        for (const text of [...this.addedTokens.map(({ content }) => content), ...texts]) {
          if (text !== undefined) this.#decoder.bytesOf(text);
        }
      }, file);
    }
    this.longestToken = texts.reduce((most, text) => Math.max(most, text?.length ?? 0), 1);
    this.size = this.addedTokens.reduce((most, { id }) => Math.max(most, id + 1), texts.length);
    this.prefix = prefixOf(parts.post_processor, this.addedTokens, `${file}: post_processor`);
  }

  /**
   * Ids of plain text. What reads like an added token is spelled out letter by letter, like any other word.
   * @param isFirst whether nothing stands before it in its prompt: some vocabularies begin the first word otherwise
   */
  encode(text: string, isFirst = true): number[] {
    return this.#ids(this.#normalize(text), isFirst);
  }

  /**
   * The added tokens in a text, and the ids of what stands between them.
   * @param release takes out of a text what was put into it lest tokens be found there
   */
  *split(text: string, release: (text: string) => string = (same) => same): Iterable<AddedToken | readonly number[]> {
    for (const { at, part } of this.#rawSplitter.split(text)) {
      if (typeof part !== 'string') yield part;
      else yield* this.#splitNormalized(part, at === 0, release);
    }
  }

  /** Sees whether an added token could begin or end with a character of somebody's words. */
  get letters(): TokenLetters {
    this.#letters ??= new TokenLetters(this.addedTokens, this.#normalize);
    return this.#letters;
  }

  /** What a vocabulary has for an id, in its own letters; undefined where it has nothing. */
  textOf(id: number): string | undefined {
    return this.#byId.get(id)?.content ?? this.#model.vocabulary.texts[id];
  }

  /** The id of a token by its text in the vocabulary. */
  idOf(text: string): number | undefined {
    return this.addedTokens.find(({ content }) => content === text)?.id ?? this.#model.vocabulary.ids.get(text);
  }

  /** The bytes that a token shows as within a text. Special tokens, and ids without a token, show as nothing. */
  bytesOf(id: number): Uint8Array {
    return this.#written(id, (token) => this.#decoder.bytesOf(token));
  }

  /** Those of the first token of a text that shows as anything: a space that only marks the first word is left out. */
  firstBytesOf(id: number): Uint8Array {
    return this.#written(id, (token) => this.#decoder.firstBytesOf(token));
  }

  #written(id: number, bytesOf: (token: string) => Uint8Array): Uint8Array {
    const added = this.#byId.get(id);
    if (added?.special === true) return nothing;
    const token = added?.content ?? this.#model.vocabulary.texts[id];
    return token === undefined ? nothing : bytesOf(token);
  }

  #ids(normalized: string, isFirst: boolean): number[] {
    if (normalized === '') return [];
    const ids: number[] = [];
    for (const word of this.#cut(normalized, isFirst)) for (const id of this.#model.encode(word)) ids.push(id);
    return ids;
  }

  *#splitNormalized(
    part: string,
    isFirst: boolean,
    release: (text: string) => string,
  ): Iterable<AddedToken | readonly number[]> {
    const normalized = this.#normalize(release(part));
    const whole = this.#normalizedSplitter?.split(normalized) ?? [];
    if (whole.every((one) => typeof one.part === 'string')) {
      yield this.#ids(normalized, isFirst);
      return;
    }
    // What keeps tokens from being found counts after the normalizer, too. It also stands between letters that the normalizer
    // takes together; so where it kept nothing from being found, the text without it is cut.
    const guarded = this.#normalizedSplitter?.split(this.#normalize(part)) ?? [];
    const isSame =
      guarded.length === whole.length &&
      guarded.every(({ part: one }, at) => {
        const other = (whole[at] as Section).part;
        if (typeof one !== 'string' || typeof other !== 'string') return one === other;
        return this.#normalize(release(one)) === this.#normalize(other);
      });
    for (const { at, part: one } of isSame ? whole : guarded) {
      if (typeof one !== 'string') yield one;
      else yield this.#ids(isSame ? one : release(one), isFirst && at === 0);
    }
  }
}

const nothing = new Uint8Array(0);

/** What the steps of a file may take over its own tokens. A vocabulary of 256,000 takes a hundredth. */
const mostMs = 5000;

/** Has the steps of a file change its own tokens. @throws TesseraError CHECKPOINT_INVALID where they make or take too much */
function tried<T>(run: () => T, file: string): T {
  let done: { readonly value: T } | undefined;
  try {
    done = withinTime(mostMs, run);
  } catch (cause) {
    throw invalid(file, `its steps fail with its own tokens: ${(cause as Error).message}`, cause);
  }
  if (done === undefined) throw invalid(file, `its steps take more than ${mostMs} ms over its own tokens`);
  return done.value;
}

/** Tokens that words may not become, however they are spelled: only who writes a prompt may place them. */
function marksOf(tokens: readonly AddedToken[]): ReadonlySet<number> {
  const marks = tokens.filter((token) => token.special || (!isWhiteSpace(token) && [...token.content].length > 1));
  return new Set(marks.map(({ id }) => id));
}

function modelOf(value: unknown, marks: ReadonlySet<number>, where: string): TokenModel {
  if (typeof value !== 'object' || value === null) throw invalid(where, 'is missing');
  const { type, vocab } = value as { type?: unknown; vocab?: unknown };
  // Older files do not say which it is.
  const kind = type ?? (Array.isArray(vocab) ? 'Unigram' : 'BPE');
  if (kind === 'BPE') return new Bpe(value, marks, where);
  if (kind === 'Unigram') return new Unigram(value, marks, where);
  throw invalid(`${where}.type`, `${String(kind)} is not supported; BPE and Unigram are`);
}

/** The tokens that the post-processor writes before a text. */
function prefixOf(value: unknown, tokens: readonly AddedToken[], where: string, depth = 0): AddedToken[] {
  if (value === null || value === undefined) return [];
  const part = typedPart(value, where);
  if (part.type === 'Sequence') {
    return partList(part.processors, `${where}.processors`).flatMap((processor) =>
      prefixOf(processor, tokens, where, deeper(depth, where)),
    );
  }
  if (part.type !== 'TemplateProcessing') return [];
  const found: AddedToken[] = [];
  for (const step of partList(part.single, `${where}.single`)) {
    const { SpecialToken: special } = (step ?? {}) as { SpecialToken?: { id?: unknown } };
    const token = tokens.find(({ content }) => content === special?.id);
    if (token === undefined) break;
    found.push(token);
  }
  return found;
}
