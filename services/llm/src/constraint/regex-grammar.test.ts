import { expect, test } from 'vitest';
import { reader } from '../testing/read-form.js';
import { regexGrammar } from './regex-grammar.js';

const whole = (pattern: string) => reader(regexGrammar(pattern, { field: 'f', matches: 'whole' }));
const part = (pattern: string) => reader(regexGrammar(pattern, { field: 'f', matches: 'part' }));

/** Every text of up to five of these characters. */
function* texts(characters: string, length = 5): Generator<string> {
  yield '';
  if (length === 0) return;
  for (const character of characters) for (const rest of texts(characters, length - 1)) yield character + rest;
}

// The reference is JavaScript's own RegExp.
test.each([
  'a',
  'a*',
  'a+b?',
  '(ab)*',
  '(a|b)+1',
  'a{2}',
  'a{2,}',
  '(?:a|b1){1,2}',
  '(?<name>a)b',
  'a??b',
  'a+?',
  '[^a]*',
  '[a-b]1',
  '[^]',
  '[]|a',
  '.a',
  '\\d\\w',
  '(a*)*',
  '((a|)b)*',
  '(a|ab)(b1|1)',
  '',
  '|a',
  'a||b',
  '^a$',
  '^a|b$',
  '\\x61',
  '\\u0061',
  '\\u{61}',
  '[\\w-]',
  '[\\d\\x61-\\u0062]',
  'a{0}',
  '(){3}a',
])('%s has the same texts as it has for RegExp', (pattern) => {
  const matches = whole(pattern);
  const contains = part(pattern);
  const expected = new RegExp(`^(?:${pattern})$`, 'u');
  const anywhere = new RegExp(pattern, 'u');
  for (const text of texts('ab1\n')) {
    if ((matches(text) === 'whole') !== expected.test(text)) expect.fail(`whole ${JSON.stringify(text)}`);
    if ((contains(text) === 'whole') !== anywhere.test(text)) expect.fail(`part ${JSON.stringify(text)}`);
  }
});

test.each([
  ['[à-ü]+', 'éàü', 'eau'],
  ['[^a]', '🍎', 'a'],
  ['.', '你', '\u2028'],
  ['\\s', '\u00a0', 'x'],
  ['\\S', 'x', '\ufeff'],
  ['\\W', '-', '_'],
  ['\\ud83c\\udf4e', '🍎', '🍏'],
  ['[🍎-🍐]', '🍏', '🍒'],
  ['\\u{1f34e}', '🍎', '🍏'],
  ['\\cJ', '\n', 'J'],
  ['[\\b]', '\b', 'b'],
  ['\\.\\*\\[\\]\\/', '.*[]/', 'a'],
])('%s has %s and not %s', (pattern, has, hasNot) => {
  const read = whole(pattern);
  expect([read(has), new RegExp(`^(?:${pattern})$`, 'u').test(has)]).toEqual(['whole', true]);
  expect(read(hasNot)).not.toBe('whole');
});

test('what cannot lead to a match any more is found out at once', () => {
  const read = whole('ab[^\\s\\S]|ac');
  expect(read('a')).toBe('beginning');
  expect(read('ab')).toBe('neither');
  expect(read('ac')).toBe('whole');
});

test.each([
  ['(?=a)', 'looking ahead'],
  ['(?!a)', 'looking ahead'],
  ['(?<=a)', 'looking behind'],
  ['(?<!a)', 'looking behind'],
  ['(a)\\1', 'looking back'],
  ['(?<n>a)\\k<n>', 'looking back'],
  ['\\ba', '\\b'],
  ['\\Ba', '\\B'],
  ['\\p{L}', 'Unicode properties'],
  ['a^b', '^ within'],
  ['(a$)b', '$ within'],
])('%s is refused: %s', (pattern, what) => {
  const error = { code: 'UNSUPPORTED', options: { field: 'f' }, message: expect.stringContaining(what) };
  expect(() => whole(pattern)).toThrow(expect.objectContaining(error));
});

test.each([
  ['(', 'is no regular expression'],
  ['a{2,1}', 'is no regular expression'],
  ['\\q', 'is no regular expression'],
  ['a'.repeat(4097), 'has more than 4096'],
  ['a{1000000}', 'more than 50000 states'],
  ['[]', 'no text has'],
])('%s is refused, since it %s', (pattern, problem) => {
  const error = {
    code: 'REQUEST_INVALID',
    options: { field: expect.any(String) },
    message: expect.stringContaining(problem),
  };
  expect(() => whole(pattern)).toThrow(expect.objectContaining(error));
});

test('nested repetitions stay as small as they are written', () => {
  const read = whole(`${'('.repeat(200)}a${'+)'.repeat(200)}`);
  expect([read('a'), read('aaa'), read('ab')]).toEqual(['whole', 'whole', 'neither']);
  const long = whole('((a{100}){100}){100}');
  expect([long('a'.repeat(300)), long('ab')]).toEqual(['beginning', 'neither']);
});

test('a pattern that is ambiguous beyond measure is refused when that is found out', () => {
  // After n characters any of them may have been the one in the middle.
  const read = whole('[ab]*a[ab]{500}');
  expect(read('abba'.repeat(20))).toBe('beginning');
  expect(() => read('abba'.repeat(500))).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }));
});
