import type { Metadata } from './metadata.js';

type Json = Readonly<Record<string, unknown>>;

/** How text is cut into words before merges: what llama.cpp calls a tokenizer's `pre`. */
interface Words {
  readonly normalizer?: Json;
  readonly cut: readonly Json[];
  /** Whether a word that is in the vocabulary is one token, whatever the merges say. */
  readonly wholeWords?: boolean;
}

const byteLevel = (useRegex: boolean): Json => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});
const splitAt = (pattern: string): Json => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
});

const contractions = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const rest = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
/** Numbers of up to so many digits are words. */
const cl100k = (digits: string): string => `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}|${rest}`;

const gpt2: Words = { cut: [byteLevel(true)] };
const singleDigits: Words = { cut: [{ type: 'Digits', individual_digits: true }, byteLevel(true)] };
const llama3: Words = { cut: [splitAt(cl100k('\\p{N}{1,3}')), byteLevel(false)], wholeWords: true };
const qwen2: Words = { normalizer: { type: 'NFC' }, cut: [splitAt(cl100k('\\p{N}')), byteLevel(false)] };

const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const tekken: Words = {
  cut: [
    splitAt(
      `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+|[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
    ),
    byteLevel(false),
  ],
  wholeWords: true,
};

const wordsByPre: Readonly<Record<string, Words>> = {
  'gpt-2': gpt2,
  smollm: singleDigits,
  starcoder: singleDigits,
  refact: singleDigits,
  'llama-bpe': llama3,
  llama3,
  'llama-v3': llama3,
  falcon3: llama3,
  qwen2,
  'deepseek-r1-qwen': qwen2,
  tekken,
};

/** model, normalizer, pre_tokenizer and decoder of a tokenizer.json: byte-level BPE. */
export function byteLevelTokenizer(
  metadata: Metadata,
  vocab: Readonly<Record<string, number>>,
): {
  /** Whether texts begin with a token of their own where a file does not say. */
  readonly beginsTexts: boolean;
  readonly [part: string]: unknown;
} {
  const key = 'tokenizer.ggml.pre';
  const pre = metadata.text(key);
  if (pre === undefined) {
    throw metadata.problem(
      key,
      'is missing: how text is cut into words is not known; take a file that was converted later',
    );
  }
  const words = Object.hasOwn(wordsByPre, pre) ? wordsByPre[pre] : undefined;
  if (words === undefined) {
    throw metadata.problem(
      key,
      `is ${pre}, which is not supported; known are ${Object.keys(wordsByPre).sort().join(', ')}`,
    );
  }
  const mergesKey = 'tokenizer.ggml.merges';
  return {
    beginsTexts: words.wholeWords === true,
    normalizer: words.normalizer ?? null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: words.cut },
    decoder: byteLevel(true),
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: words.wholeWords === true,
      vocab,
      merges: metadata.required(mergesKey, metadata.texts(mergesKey)),
    },
  };
}
