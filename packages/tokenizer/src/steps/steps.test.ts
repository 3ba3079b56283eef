import { expect, test } from 'vitest';
import { decoderOf } from './decoder.js';
import { normalizerOf } from './normalizers.js';
import { preTokenizerOf } from './pre-tokenizers.js';

// What each step does by itself, as the tokenizers library 0.23.3 has it. What whole tokenizers do with them is compared in
// test/tokenizers.

const unlike = ' Ae\u0301 ﬁÅΑΣ\t';

test.each<[string, object, string]>([
  ['NFC', {}, ' Aé ﬁÅΑΣ\t'],
  ['NFD', {}, ' Ae\u0301 ﬁA\u030aΑΣ\t'],
  ['NFKC', {}, ' Aé fiÅΑΣ\t'],
  ['NFKD', {}, ' Ae\u0301 fiA\u030aΑΣ\t'],
  ['Lowercase', {}, ' ae\u0301 ﬁåασ\t'],
  ['StripAccents', {}, ' Ae ﬁÅΑΣ\t'],
  ['Strip', { strip_left: true, strip_right: false }, 'Ae\u0301 ﬁÅΑΣ\t'],
  ['Strip', { strip_left: false, strip_right: true }, ' Ae\u0301 ﬁÅΑΣ'],
  ['Prepend', { prepend: '▁' }, '▁ Ae\u0301 ﬁÅΑΣ\t'],
  ['Replace', { pattern: { String: 'A' }, content: '$&' }, ' $&e\u0301 ﬁÅΑΣ\t'],
  ['Replace', { pattern: { Regex: '[A-Z]e' }, content: '.' }, ' .\u0301 ﬁÅΑΣ\t'],
  ['ByteLevel', {}, 'ĠAeÌģĠï¬ģÃħÎĳÎ£ĉ'],
])('the normalizer %s %j', (type, options, expected) => {
  expect(normalizerOf({ type, ...options }, 'x')(unlike)).toBe(expected);
});

test('the normalizer Nmt leaves out what controls, and makes spaces of what separates', () => {
  const normalize = normalizerOf({ type: 'Nmt' }, 'x');
  expect(normalize('a\u0001b\tc\u200bd\u2581e\u007f\u00a0f\ufeff\ufffd')).toBe('ab c d e\u00a0f  ');
});

test('nothing is put before no text, nor is there a word in it', () => {
  expect(normalizerOf({ type: 'Prepend', prepend: '▁' }, 'x')('')).toBe('');
  expect(normalizerOf(null, 'x')('as it is')).toBe('as it is');
  expect(preTokenizerOf(null, 'x')('as it is', true)).toEqual(['as it is']);
});

const split = (behavior: string, invert: boolean): [string, object] => [
  'Split',
  { pattern: { String: '-' }, behavior, invert },
];

test.each<[string, object, string[]]>([
  [...split('Isolated', false), ['ab', '-', '12 ', '-', '-', 'c  3']],
  [...split('Isolated', true), ['ab', '-', '12 ', '-', '-', 'c  3']],
  [...split('Removed', false), ['ab', '12 ', 'c  3']],
  [...split('Removed', true), ['-', '-', '-']],
  [...split('MergedWithPrevious', false), ['ab-', '12 -', '-', 'c  3']],
  [...split('MergedWithPrevious', true), ['ab', '-12 ', '-', '-c  3']],
  [...split('MergedWithNext', false), ['ab', '-12 ', '-', '-c  3']],
  [...split('MergedWithNext', true), ['ab-', '12 -', '-', 'c  3']],
  [...split('Contiguous', false), ['ab', '-', '12 ', '--', 'c  3']],
  [...split('Contiguous', true), ['ab', '-', '12 ', '--', 'c  3']],
  ['Digits', { individual_digits: true }, ['ab-', '1', '2', ' --c  ', '3']],
  ['Digits', { individual_digits: false }, ['ab-', '12', ' --c  ', '3']],
  ['Punctuation', {}, ['ab', '-', '12 ', '-', '-', 'c  3']],
  ['Punctuation', { behavior: 'Removed' }, ['ab', '12 ', 'c  3']],
  ['Punctuation', { behavior: 'Contiguous' }, ['ab', '-', '12 ', '--', 'c  3']],
  ['Whitespace', {}, ['ab', '-', '12', '--', 'c', '3']],
  ['WhitespaceSplit', {}, ['ab-12', '--c', '3']],
  ['ByteLevel', { add_prefix_space: true, use_regex: true }, ['Ġab', '-', '12', 'Ġ--', 'c', 'Ġ', 'Ġ3']],
  ['ByteLevel', { add_prefix_space: true }, ['Ġab', '-', '12', 'Ġ--', 'c', 'Ġ', 'Ġ3']],
  ['ByteLevel', { add_prefix_space: false, use_regex: false }, ['ab-12Ġ--cĠĠ3']],
  ['Metaspace', { replacement: '▁', prepend_scheme: 'always', split: true }, ['▁ab-12', '▁--c', '▁', '▁3']],
  ['Metaspace', { replacement: '▁', prepend_scheme: 'always', split: false }, ['▁ab-12▁--c▁▁3']],
  ['Metaspace', { replacement: '▁', prepend_scheme: 'never', split: true }, ['ab-12', '▁--c', '▁', '▁3']],
  // As older files have it.
  ['Metaspace', { replacement: '_', add_prefix_space: true }, ['_ab-12', '_--c', '_', '_3']],
  ['Metaspace', { replacement: '_' }, ['_ab-12', '_--c', '_', '_3']],
  ['Metaspace', { replacement: '_', add_prefix_space: false }, ['ab-12', '_--c', '_', '_3']],
])('the pre-tokenizer %s %j', (type, options, expected) => {
  expect(preTokenizerOf({ type, ...options }, 'x')('ab-12 --c  3', true)).toEqual(expected);
});

test.each<[string, object, string[]]>([
  [...split('MergedWithPrevious', false), ['-', 'a-', '-', 'b-']],
  [...split('MergedWithPrevious', true), ['-a', '-', '-b', '-']],
  [...split('MergedWithNext', false), ['-a', '-', '-b', '-']],
  [...split('MergedWithNext', true), ['-', 'a-', '-', 'b-']],
  [...split('Contiguous', false), ['-', 'a', '--', 'b', '-']],
])('places at both ends of a text: %s %j', (type, options, expected) => {
  expect(preTokenizerOf({ type, ...options }, 'x')('-a--b-', true)).toEqual(expected);
});

test('the mark of the first word is put before a text’s first word alone, unless it is there', () => {
  const cut = (prepend_scheme: string) => preTokenizerOf({ type: 'Metaspace', prepend_scheme }, 'x');
  expect(cut('first')('a b', true)).toEqual(['▁a', '▁b']);
  expect(cut('first')('a b', false)).toEqual(['a', '▁b']);
  expect(cut('always')('a b', false)).toEqual(['▁a', '▁b']);
  expect(cut('always')(' a', true)).toEqual(['▁a']);
  expect(() => cut('last')).toThrow('x.prepend_scheme: last is not supported');
});

test('of steps in a sequence only the first word of the first text is the first', () => {
  const cut = preTokenizerOf(
    {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Digits', individual_digits: true },
        { type: 'Metaspace', prepend_scheme: 'first' },
      ],
    },
    'x',
  );
  expect(cut('a1b', true)).toEqual(['▁a', '1', 'b']);
  expect(cut('a1b', false)).toEqual(['a', '1', 'b']);
});

const metaspace = (options: object): [string, object] => ['Metaspace', { replacement: '▁', ...options }];

test.each<[string, object, string]>([
  ['ByteFallback', {}, '▁▁a  b▁▁éxxéĠ'],
  ['Strip', { content: ' ', start: 1, stop: 0 }, '▁▁a b▁▁<0xC3><0xa9>xxéĠ'],
  ['Strip', { content: '▁', start: 0, stop: 1 }, '▁▁a  b▁<0xC3><0xa9>xxéĠ'],
  ['Strip', { content: '▁', start: 1, stop: 2 }, '▁a  b<0xC3><0xa9>xxéĠ'],
  [...metaspace({ prepend_scheme: 'always' }), 'a  b  <0xC3><0xa9>xxéĠ'],
  [...metaspace({ prepend_scheme: 'never' }), '  a  b  <0xC3><0xa9>xxéĠ'],
  [...metaspace({ prepend_scheme: 'first' }), 'a  b  <0xC3><0xa9>xxéĠ'],
  // As older files have it.
  [...metaspace({ add_prefix_space: true }), 'a  b  <0xC3><0xa9>xxéĠ'],
  [...metaspace({}), 'a  b  <0xC3><0xa9>xxéĠ'],
  [...metaspace({ add_prefix_space: false }), '  a  b  <0xC3><0xa9>xxéĠ'],
  ['Replace', { pattern: { String: '▁' }, content: ' ' }, '  a  b  <0xC3><0xa9>xxéĠ'],
  ['Replace', { pattern: { Regex: 'x+' }, content: 'y' }, '▁▁a  b▁▁<0yC3><0ya9>yéĠ'],
  ['Fuse', {}, '▁▁a  b▁▁<0xC3><0xa9>xxéĠ'],
])('the decoder %s %j', (type, options, expected) => {
  const decoder = decoderOf({ type, ...options }, 'x');
  const [first, ...others] = ['▁▁a', '  b▁▁', '<0xC3>', '<0xa9>', 'xx', 'éĠ'];
  const bytes = [decoder.firstBytesOf(first as string), ...others.map((token) => decoder.bytesOf(token))];
  expect(Buffer.concat(bytes).toString()).toBe(expected);
});

test.each<[string, object, RegExp]>([
  [
    'over a whole text by an expression',
    { type: 'Replace', pattern: { Regex: 'x+' }, content: '' },
    /over whole texts/,
  ],
  ['over a whole text by two letters', { type: 'Replace', pattern: { String: 'xx' }, content: '' }, /over whole texts/],
  ['of marks over a whole text', { type: 'Metaspace' }, /over whole texts/],
  ['of letters before a whole text', { type: 'Strip', content: 'x', start: 1 }, /of whole texts only a space/],
  ['of two spaces before a whole text', { type: 'Strip', content: ' ', start: 2 }, /of whole texts only a space/],
  ['of an unknown kind', { type: 'WordPiece' }, /x\.decoders\[1\]\.type: WordPiece is not supported/],
])('a decoder %s is refused', (_, step, message) => {
  expect(() => decoderOf({ type: 'Sequence', decoders: [{ type: 'Fuse' }, step] }, 'x')).toThrow(message);
});

test('a text is found as it stands, whatever it has of letters of expressions', () => {
  const signs = '^$\\.*+?()[]{}|/-,:;!"#%&\'<=>@_`~';
  for (const sign of [...signs, signs]) {
    const normalize = normalizerOf({ type: 'Replace', pattern: { String: sign }, content: 'y' }, 'x');
    expect(normalize(`x${sign}xx`)).toBe('xyxx');
  }
});

test('what is put in is no text that a process cannot hold', () => {
  // Longer than any string: it is refused before it is made.
  const grows = normalizerOf({ type: 'Replace', pattern: { String: 'a' }, content: 'a'.repeat(20_000_000) }, 'x');
  expect(() => grows('a'.repeat(100))).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }));
});
