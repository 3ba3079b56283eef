import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Tokenizer } from '@tessera/tokenizer';
import { expect, test } from 'vitest';
import type { MetadataValue } from './header-reader.js';
import { Metadata } from './metadata.js';
import { tokenizerOf } from './tokenizer.js';

interface Case {
  readonly pre: string;
  readonly tokens: readonly string[];
  readonly types: readonly number[];
  readonly merges: readonly string[];
  readonly texts: readonly { readonly text: string; readonly ids: readonly number[] }[];
}

const path = fileURLToPath(new URL('../../fixtures/gguf/tokenizer-cases.json', import.meta.url));
const cases = JSON.parse(readFileSync(path, 'utf8')) as Case[];

const metadataOf = ({ pre, tokens, types, merges }: Case, more: Record<string, MetadataValue> = {}): Metadata =>
  new Metadata(
    'model.gguf',
    new Map<string, MetadataValue>([
      ['tokenizer.ggml.model', 'gpt2'],
      ['tokenizer.ggml.pre', pre],
      ['tokenizer.ggml.tokens', tokens],
      ['tokenizer.ggml.token_type', Int32Array.from(types)],
      ['tokenizer.ggml.merges', merges],
      ['tokenizer.ggml.bos_token_id', 0],
      ['tokenizer.ggml.eos_token_id', 1],
      ...Object.entries(more),
    ]),
  );

const built = (one: Case, more: Record<string, MetadataValue> = {}): Tokenizer =>
  new Tokenizer(tokenizerOf(metadataOf(one, more), one.tokens.length).tokenizer.tokenizer);

test.each(cases)('words are cut as $pre says: ids are those of the tokenizers library', (one) => {
  const tokenizer = built(one);
  for (const { text, ids } of one.texts) expect(tokenizer.encode(text), text).toEqual(ids);
});

test('ends of turns: those that are named, and those that are known by their texts', () => {
  const [one] = cases as [Case];
  const { generation, tokenizer } = tokenizerOf(metadataOf(one, { 'tokenizer.ggml.eot_token_id': 5 }), 1000);
  expect(generation).toMatchObject({ eos_token_id: [1, 5, 0, 2] });
  expect(tokenizer.config).toMatchObject({ bos_token: '<|endoftext|>', eos_token: '<|im_start|>' });
});

test('texts begin with a token of their own where the file says so, or its kind of tokenizer does', () => {
  const prefix = (pre: string, more: Record<string, MetadataValue> = {}): number[] =>
    built(cases.find((one) => one.pre === pre) as Case, more).prefix.map(({ id }) => id);
  expect(prefix('gpt-2')).toEqual([]);
  expect(prefix('gpt-2', { 'tokenizer.ggml.add_bos_token': true })).toEqual([0]);
  expect(prefix('llama-bpe')).toEqual([0]);
  expect(prefix('llama-bpe', { 'tokenizer.ggml.add_bos_token': false })).toEqual([]);
});

test('a vocabulary that does not say what its tokens are has words alone', () => {
  const one = cases[0] as Case;
  const silent = new Map([...metadataOf(one).keys()].map((key) => [key, metadataOf(one).get(key) as MetadataValue]));
  silent.delete('tokenizer.ggml.token_type');
  expect(tokenizerOf(new Metadata('model.gguf', silent), 1000).tokenizer.tokenizer).toMatchObject({ added_tokens: [] });
});

/** A vocabulary of sentencepiece: a text ends, what begins a word, letters, and both together. */
const pieces = ['<unk>', '<s>', '</s>', '\u2581', 'a', '\u2581a'];

const sentencePieces = (more: Record<string, MetadataValue> = {}): Metadata =>
  new Metadata(
    'model.gguf',
    new Map<string, MetadataValue>([
      ['tokenizer.ggml.model', 'llama'],
      ['tokenizer.ggml.tokens', pieces],
      ['tokenizer.ggml.token_type', Int32Array.of(2, 3, 3, 1, 1, 1)],
      ['tokenizer.ggml.scores', Float32Array.of(0, 0, 0, -3, -2, -1)],
      ['tokenizer.ggml.bos_token_id', 1],
      ['tokenizer.ggml.eos_token_id', 2],
      ...Object.entries(more),
    ]),
  );

test('a vocabulary of sentencepiece: words begin a text, and what follows a token, where the file does not deny it', () => {
  const ids = (text: string, more: Record<string, MetadataValue> = {}): number[] => {
    const tokenizer = new Tokenizer(tokenizerOf(sentencePieces(more), pieces.length).tokenizer.tokenizer);
    return [...tokenizer.split(text)].flatMap((part) => ('id' in part ? [part.id] : part));
  };
  expect(ids('a a</s>a')).toEqual([5, 5, 2, 5]);
  expect(ids('a a</s>a', { 'tokenizer.ggml.add_space_prefix': false })).toEqual([4, 5, 2, 4]);
  expect(ids('a  a')).toEqual([5, 3, 5]);
  expect(ids('a  a', { 'tokenizer.ggml.remove_extra_whitespaces': true })).toEqual([5, 5]);
});

test('texts of a vocabulary of sentencepiece begin with its token, where the file does not deny it', () => {
  const prefix = (more: Record<string, MetadataValue> = {}): number[] =>
    new Tokenizer(tokenizerOf(sentencePieces(more), pieces.length).tokenizer.tokenizer).prefix.map(({ id }) => id);
  expect(prefix()).toEqual([1]);
  expect(prefix({ 'tokenizer.ggml.add_bos_token': false })).toEqual([]);
});

test('scores of sentencepiece are one for each token', () => {
  const more = { 'tokenizer.ggml.scores': Float32Array.of(0, 0) };
  expect(() => tokenizerOf(sentencePieces(more), pieces.length)).toThrow(
    'model.gguf: tokenizer.ggml.scores has 2 entries for 6 tokens',
  );
});

test('chat templates: the one that is used, those by name beside it or alone, or none at all', () => {
  const key = 'tokenizer.chat_template';
  const named = {
    'tokenizer.chat_templates': ['tool_use', 'missing'],
    [`${key}.tool_use`]: 'second',
  };
  const configWith = (more: Record<string, MetadataValue>): Readonly<Record<string, unknown>> =>
    tokenizerOf(metadataOf(cases[0] as Case, more), 1000).tokenizer.config as Readonly<Record<string, unknown>>;
  expect(configWith({ [key]: 'first', ...named }).chat_template).toEqual([
    { name: 'default', template: 'first' },
    { name: 'tool_use', template: 'second' },
  ]);
  expect(configWith(named).chat_template).toEqual([{ name: 'tool_use', template: 'second' }]);
  expect(configWith({ [key]: 'first' }).chat_template).toBe('first');
  expect(configWith({})).not.toHaveProperty('chat_template');
});
