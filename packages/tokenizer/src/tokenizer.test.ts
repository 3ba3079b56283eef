import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { root } from '@tessera/testing/repository';
import { toyTokenizer } from '@tessera/testing/tokenizers/toy-tokenizer';
import { expect, test } from 'vitest';
import { readSentencePiece } from './sentencepiece/read-sentencepiece.js';
import { sentencePieceJson } from './sentencepiece/sentencepiece-json.js';
import { Tokenizer } from './tokenizer.js';

const fixtures = join(root, 'test/tokenizers/fixtures');
const toy = toyTokenizer() as Record<string, unknown>;
const bpe = toy.model as Record<string, unknown>;

test.each<[string, unknown, RegExp]>([
  ['no object', [], /^x\.json: is not a JSON object$/],
  ['nothing', {}, /^x\.json: (decoder|model): is missing/],
  ['no model', { ...toy, model: undefined }, /^x\.json: model: is missing$/],
  [
    'WordPiece',
    { ...toy, model: { type: 'WordPiece', vocab: {} } },
    /model\.type: WordPiece is not supported; BPE and Unigram are/,
  ],
  ['a vocabulary that is none', { ...toy, model: { ...bpe, vocab: 7 } }, /model\.vocab: is not an object/],
  ['an id that is none', { ...toy, model: { ...bpe, vocab: { a: -1 } } }, /the id of "a" is -1/],
  [
    'an id that is absurd',
    { ...toy, model: { ...bpe, vocab: { a: 4e9 } } },
    /the id of "a" is 4000000000, not one from 0/,
  ],
  ['merges that are none', { ...toy, model: { ...bpe, merges: {} } }, /model\.merges: is not a list/],
  ['a merge of what is no token', { ...toy, model: { ...bpe, merges: ['a c'] } }, /merges\[0\]: "a c" are no tokens/],
  ['a merge of one', { ...toy, model: { ...bpe, merges: [['a']] } }, /merges\[0\]: \["a"\] is no pair of tokens/],
  ['dropout', { ...toy, model: { ...bpe, dropout: 0.1 } }, /model\.dropout: is not supported/],
  ['an unknown normalizer', { ...toy, normalizer: { type: 'Magic' } }, /normalizer\.type: Magic is not supported/],
  [
    'an unknown step within others',
    { ...toy, pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'toString' }] } },
    /pre_tokenizer\.pretokenizers\[0\]\.type: toString is not supported/,
  ],
  ['no decoder', { ...toy, decoder: null }, /decoder: is missing: nothing says how tokens are written/],
  [
    'a decoder of whole texts',
    {
      ...toy,
      decoder: { type: 'Sequence', decoders: [{ type: 'Fuse' }, { type: 'Strip', content: ' ', start: 0, stop: 1 }] },
    },
    /decoders\[1\]: of whole texts only a space/,
  ],
  [
    'an expression that is none',
    { ...toy, pre_tokenizer: { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated' } },
    /pattern: the expression is not taken/,
  ],
  [
    'a map that is none',
    { ...toy, normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAAA' } },
    /is not a map of characters/,
  ],
  ['an added token without text', { ...toy, added_tokens: [{ id: 3, content: '' }] }, /added_tokens/],
  [
    'Unigram without likelihoods',
    { ...toy, model: { type: 'Unigram', vocab: [['a', 'b']] } },
    /vocab\[0\]: has no likelihood/,
  ],
  [
    'Unigram of an unknown token',
    { ...toy, model: { type: 'Unigram', vocab: [['a', 0]], unk_id: 4 } },
    /unk_id: 4 is no token/,
  ],
])('a tokenizer.json with %s is refused by the part that is wrong', (_, json, message) => {
  expect(() => new Tokenizer(json, 'x.json')).toThrow(
    expect.objectContaining({ code: 'CHECKPOINT_INVALID', message: expect.stringMatching(message) }),
  );
});

test.each([
  ['normalizer', 'normalizers', { type: 'NFC' }],
  ['pre_tokenizer', 'pretokenizers', { type: 'WhitespaceSplit' }],
  ['decoder', 'decoders', { type: 'Fuse' }],
  ['post_processor', 'processors', { type: 'ByteLevel' }],
])('a %s of sequences within sequences is taken, or refused where they have no end', (part, list, innermost) => {
  const nested = (depth: number): object => {
    let within: object = innermost;
    for (let level = 0; level < depth; level++) within = { type: 'Sequence', [list]: [within] };
    return new Tokenizer({ ...toy, [part]: within }, 'x.json');
  };
  expect(nested(16)).toBeInstanceOf(Tokenizer);
  for (const depth of [17, 20_000]) {
    expect(() => nested(depth)).toThrow(
      expect.objectContaining({
        code: 'CHECKPOINT_INVALID',
        message: expect.stringMatching(new RegExp(`^x.json: ${part}.*: lies within more than 16 others of its kind$`)),
      }),
    );
  }
});

const grows = { type: 'Replace', pattern: { String: 'a' }, content: 'aaaa' };
const times = (count: number, step: object): object[] => Array.from({ length: count }, () => step);

test.each<[string, object]>([
  ['replaces', { normalizer: { type: 'Sequence', normalizers: times(40, grows) } }],
  ['replaces at once', { normalizer: { ...grows, content: 'a'.repeat(20_000_000) } }],
  [
    'prepends',
    { normalizer: { type: 'Sequence', normalizers: times(60, { type: 'Prepend', prepend: 'a'.repeat(100_000) }) } },
  ],
  [
    'writes bytes',
    { pre_tokenizer: { type: 'Sequence', pretokenizers: times(60, { type: 'ByteLevel', add_prefix_space: true }) } },
  ],
])('a tokenizer that makes more of a text than may be is refused with it: one that %s', (_, steps) => {
  const tokenizer = new Tokenizer({ ...toy, ...steps });
  expect(() => tokenizer.encode('ab a')).toThrow(
    expect.objectContaining({
      code: 'REQUEST_INVALID',
      message: expect.stringMatching(/^the tokenizer makes more than \d+ characters of the text$/),
    }),
  );
  // Of its own tokens it is the file's fault; on a busy machine the time that they may take can end first.
  const added = [{ id: 9, content: 'aa a', normalized: true }];
  if ('normalizer' in steps) {
    expect(() => new Tokenizer({ ...toy, ...steps, added_tokens: added }, 'x.json')).toThrow(
      expect.objectContaining({
        code: 'CHECKPOINT_INVALID',
        message: expect.stringMatching(/^x.json: its steps (fail with|take more than)/),
      }),
    );
  }
});

test.each<[string, object, RegExp]>([
  ['takes without end', { type: 'Replace', pattern: { Regex: '(a+)+$' }, content: '' }, /take more than 5000 ms/],
  [
    'makes without end',
    { type: 'Sequence', decoders: times(40, grows) },
    /(fail with its own tokens: .* makes more|take more than)/,
  ],
])('a decoder that %s is refused', (_, decoder, message) => {
  const vocab = { [`${'a'.repeat(60)}b`]: 0 };
  expect(() => new Tokenizer({ ...toy, model: { ...bpe, vocab, merges: [] }, decoder }, 'x.json')).toThrow(
    expect.objectContaining({ code: 'CHECKPOINT_INVALID', message: expect.stringMatching(message) }),
  );
});

test('marks of words are one character', () => {
  expect(() => new Tokenizer({ ...toy, pre_tokenizer: { type: 'Metaspace', replacement: '  ' } })).toThrow(
    /pre_tokenizer.replacement: is not one character/,
  );
});

test('ids without a token, and special ones, show as nothing', () => {
  const tokenizer = new Tokenizer({ ...toy, model: { ...bpe, vocab: { a: 0, b: 5 } }, ...special });
  expect([0, 1, 4, 5, 9, 10].map((id) => Buffer.from(tokenizer.bytesOf(id)).toString())).toEqual([
    'a',
    '',
    '',
    'b',
    '',
    '',
  ]);
  expect(tokenizer.size).toBe(10);
});

const special = { added_tokens: [{ id: 9, content: '<s>', special: true }] };

test('an added token is found whatever signs it is written with', () => {
  const added = ['<|fim-prefix|>', '[A/B]', '{{c}}', '(d)?', 'e\\f', '$g^', '<|fim'].map((content, at) => ({
    id: 3 + at,
    content,
  }));
  const tokenizer = new Tokenizer({ ...toy, added_tokens: added });
  for (const { id, content } of added) {
    expect([...tokenizer.split(`a${content}b`)]).toEqual([[0], expect.objectContaining({ id }), [1]]);
  }
});

test('a token that must stand alone is found between no letters and digits', () => {
  const tokenizer = new Tokenizer({ ...toy, added_tokens: [{ id: 3, content: 'ab', single_word: true }] });
  const found = (text: string): boolean => [...tokenizer.split(text)].some((part) => 'id' in part);
  expect(['ab', 'a ab b', 'é ab!', '(ab)'].map(found)).toEqual([true, true, true, true]);
  expect(['aab', 'abb', 'éab', 'ab1', 'ab_'].map(found)).toEqual([false, false, false, false, false]);
});

test('unknown characters side by side are one unknown token or one each, as the file says', () => {
  const ids = (fuse_unk?: boolean): number[] =>
    new Tokenizer({
      ...toy,
      pre_tokenizer: null,
      model: { ...bpe, vocab: { '?': 0, a: 1 }, merges: [], unk_token: '?', fuse_unk },
    }).encode('xyaz');
  expect(ids(true)).toEqual([0, 1, 0]);
  expect(ids(false)).toEqual([0, 0, 1, 0]);
  expect(ids()).toEqual([0, 0, 1, 0]);
});

test('the longest token bounds a text by its tokens', () => {
  const model = { ...bpe, vocab: { a: 0, aaaa: 1, b: 2 }, merges: [] };
  expect(new Tokenizer({ ...toy, model }).longestToken).toBe(4);
});

test('words never become special tokens, by merges, whole words or likelihoods', () => {
  const vocab = { '<': 0, s: 1, '>': 2, 's>': 3, '<s>': 9 };
  const merges = [
    ['s', '>'],
    ['<', 's>'],
  ];
  for (const ignore_merges of [false, true]) {
    const tokenizer = new Tokenizer({ ...toy, ...special, model: { type: 'BPE', vocab, merges, ignore_merges } });
    expect(tokenizer.encode('<s>')).toEqual([0, 3]);
    expect([...tokenizer.split('<s>')]).toEqual([expect.objectContaining({ id: 9 })]);
  }
  const pieces = ['<', 's', '>', 's>', 'a', 'b', 'c', 'd', 'e', '<s>'].map((text) => [text, -1]);
  const unigram = new Tokenizer({ ...toy, ...special, model: { type: 'Unigram', vocab: pieces, unk_id: 4 } });
  expect(unigram.encode('<s>')).toEqual([0, 3]);
});

test('what keeps marks from being found in somebody’s words is not between letters that the normalizer takes together', () => {
  const vocab = { e: 0, é: 1, x: 2, '\u0301': 5, '<': 6, t: 7, '>': 8 };
  const tokenizer = new Tokenizer({
    ...toy,
    normalizer: { type: 'NFC' },
    pre_tokenizer: null,
    model: { type: 'BPE', vocab, merges: [] },
    added_tokens: [{ id: 3, content: '<t>', normalized: true, special: true }],
  });
  const release = (text: string): string => text.replaceAll('\ue000', '');
  const ids = (text: string): number[] =>
    [...tokenizer.split(text, release)].flatMap((part) => ('id' in part ? [part.id] : [...part]));
  expect(ids('e\ue000\u0301x<t>')).toEqual([1, 2, 3]);
  expect(ids('<\ue000t>e\ue000\u0301x<t>')).toEqual([6, 7, 8, 0, 5, 2, 3]);
});

test('a user-defined piece of white space is a word', () => {
  const texts = ['<unk>', '▁▁', '▁', 'a', 'b', '<s>'];
  const pieces = texts.map((text, id) => ({ text, score: -id, type: [2, 4, 1, 1, 1, 3][id] as number }));
  const model = { pieces, charsmap: new Uint8Array(0), addDummyPrefix: false, removeExtraWhitespaces: false };
  for (const algorithm of ['bpe', 'unigram'] as const) {
    const tokenizer = new Tokenizer(sentencePieceJson({ ...model, algorithm }, { where: 'tokenizer.model' }));
    expect(tokenizer.encode('a  b')).toEqual([3, 1, 4]);
  }
});

test('long words and long white space take time in proportion', () => {
  const tokenizer = new Tokenizer(JSON.parse(readFileSync(join(fixtures, 'llama-legacy/tokenizer.json'), 'utf8')));
  expect(tokenizer.encode('the dog'.repeat(40_000)).length).toBeGreaterThan(40_000);
  const stripping = new Tokenizer({ ...toy, normalizer: { type: 'Strip', strip_left: true, strip_right: true } });
  expect(stripping.encode(`a${' '.repeat(300_000)}b`).length).toBe(2);
});

test('pieces whose merges grow with the square of their count are refused, and so is one that is too long', () => {
  const json = (texts: readonly string[]): object =>
    sentencePieceJson(
      {
        algorithm: 'bpe',
        pieces: texts.map((text, id) => ({ text, score: -id, type: 1 })),
        charsmap: new Uint8Array(0),
        addDummyPrefix: true,
        removeExtraWhitespaces: false,
      },
      { where: 'tokenizer.model' },
    );
  const rows = (letters: number): string[] =>
    Array.from({ length: letters * 64 }, (_, at) => String.fromCharCode(0x4e00 + (at >> 6)).repeat((at & 63) + 1));
  expect((json(rows(8)) as { model: { merges: unknown[] } }).model.merges).toHaveLength((8 * 64 * 63) / 2);
  expect(() => json(rows(760))).toThrow(/^tokenizer.model: its pieces make more than 1500000 merges$/);
  expect(() => json(['a', 'a'.repeat(513)])).toThrow(/^tokenizer.model: the piece 1 has more than 512 characters$/);
});

test('a text of unknown characters alone, however long, has its bytes', () => {
  const bytes = Array.from({ length: 256 }, (_, byte) => [
    `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
    -5,
  ]);
  const model = { type: 'Unigram', vocab: [['<unk>', 0], ...bytes], unk_id: 0, byte_fallback: true };
  expect(new Tokenizer({ ...toy, pre_tokenizer: null, model }).encode('é'.repeat(200_000))).toHaveLength(400_000);
});

test('a damaged tokenizer.model is refused or read, whatever is wrong with it', () => {
  const bytes = readFileSync(join(fixtures, 'llama-legacy/tokenizer.model'));
  const random = seededRandom(5);
  let refused = 0;
  for (let round = 0; round < 400; round++) {
    const damaged = Buffer.from(
      bytes.subarray(0, round % 4 === 0 ? Math.floor(random() * bytes.length) : bytes.length),
    );
    // Most of a file are texts, which may be any; what comes before them is length and type.
    for (let change = 0; change < 1 + (round % 5) && damaged.length > 0; change++) {
      damaged[Math.floor(random() * damaged.length)] = Math.floor(random() * 256);
    }
    try {
      new Tokenizer(sentencePieceJson(readSentencePiece(damaged, 'tokenizer.model'), { where: 'tokenizer.model' }));
    } catch (error) {
      expect(error).toMatchObject({ code: 'CHECKPOINT_INVALID' });
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(100);
  for (const none of ['', 'not a model', '{"model": {}}']) {
    expect(() => readSentencePiece(Buffer.from(none), 'tokenizer.model')).toThrow(
      /^tokenizer.model: is no sentencepiece model/,
    );
  }
});
