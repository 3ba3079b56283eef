import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { expect, test } from 'vitest';
import { buildProgram } from './build-program.js';
import { type AutomatonState, ByteAutomaton } from './byte-automaton.js';
import { type ConstraintProgram, mostNesting } from './constraint-program.js';
import { Constraints } from './constraints.js';
import { regexGrammar } from './regex-grammar.js';
import { schemaGrammar } from './schema-grammar.js';
import { type InnerMask, type TokenMask, tokenMask } from './token-mask.js';
import { TokenTrie } from './token-trie.js';

/** Tokens of one to four pieces of JSON and words, some of them twice, one without bytes; the last, which ends a text, has some. */
function inventedVocabulary(size: number): Uint8Array[] {
  const random = seededRandom(3);
  const pieces = [
    'a',
    'b',
    '"',
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    ' ',
    '1',
    '0',
    '-',
    '.',
    '\\',
    'n',
    'é',
    '你',
    '\n',
    'tr',
  ];
  const words = Array.from({ length: size }, () => {
    const count = 1 + Math.floor(random() * 4);
    return Buffer.from(Array.from({ length: count }, () => pieces[Math.floor(random() * pieces.length)]).join(''));
  });
  const single = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
  return [...single, ...words, new Uint8Array(0), Buffer.from('a'), Buffer.from('b')];
}

const vocabulary = inventedVocabulary(700);
const endTokenId = vocabulary.length - 1;
const trie = new TokenTrie(vocabulary, [endTokenId]);

function idsOf(mask: TokenMask): number[] {
  if (mask.type === 'few') return [...mask.ids];
  return [...vocabulary.keys()].filter((id) => ((mask.bits[id >> 5] ?? 0) >>> (id & 31)) & 1);
}

const programs = [
  ['JSON', buildProgram(schemaGrammar({}, 'f'), 'json', 'f')],
  ['a short string', buildProgram(schemaGrammar({ type: 'string', maxLength: 3 }, 'f'), 'short', 'f')],
  ['a pattern', buildProgram(regexGrammar('(a|b)*1{1,3}[^a]?', { field: 'f', matches: 'whole' }), 'regex', 'f')],
  ['an enum', buildProgram(schemaGrammar({ enum: ['ab', 1, '你'] }, 'f'), 'enum', 'f')],
] as const;

/** Masks of a form, each held against reading every token by itself. */
function checkedMasks(program: ConstraintProgram) {
  const automaton = new ByteAutomaton(program);
  const after = (from: AutomatonState, bytes: Uint8Array) => {
    let state: AutomatonState | null = from;
    for (const byte of bytes) state = state && automaton.step(state, byte);
    return state;
  };
  const kept = new Map<AutomatonState, InnerMask>();
  const keep = (inner: AutomatonState, make: () => InnerMask): InnerMask => {
    const mask = kept.get(inner) ?? make();
    kept.set(inner, mask);
    return mask;
  };
  const maskOf = (state: AutomatonState): TokenMask => {
    automaton.allowWork();
    const mask = tokenMask(automaton, state, trie, [endTokenId], keep);
    const expected = [...vocabulary.keys()].filter((id) => {
      const bytes = vocabulary[id] as Uint8Array;
      if (id === endTokenId) return state.isAccepting;
      return bytes.length > 0 && after(state, bytes) !== null;
    });
    expect(idsOf(mask)).toEqual(expected);
    return mask;
  };
  return { start: automaton.start, after, maskOf };
}

test.each(programs)('%s: a mask allows exactly the tokens whose bytes lead on', (_what, program) => {
  const random = seededRandom(5);
  const { start, after, maskOf } = checkedMasks(program);
  let few = 0;
  let many = 0;
  for (let round = 0; round < 40; round++) {
    let state = start;
    for (let length = 0; length < 15; length++) {
      const mask = maskOf(state);
      if (mask.type === 'few') few++;
      else many++;
      const ids = idsOf(mask);
      expect(ids.length).toBeGreaterThan(0);
      const id = ids[Math.floor(random() * ids.length)] as number;
      if (id === endTokenId) break;
      state = after(state, vocabulary[id] as Uint8Array) as AutomatonState;
    }
  }
  expect(few).toBeGreaterThan(0);
  if (program.key === 'json') expect(many).toBeGreaterThan(0);
});

test.each(['from the outside', 'from the inside'])(
  'a mask allows as many levels as a text may have yet, wherever a like one was made before: %s',
  (order) => {
    const { start, after, maskOf } = checkedMasks(programs[0][1]);
    const opening = Buffer.from('[');
    const states = [start];
    for (let level = 1; level <= mostNesting; level++) {
      states.push(after(states.at(-1) as AutomatonState, opening) as AutomatonState);
    }
    expect(after(states.at(-1) as AutomatonState, opening)).toBeNull();
    for (const state of order === 'from the outside' ? states : states.toReversed()) maskOf(state);
  },
);

test('masks of a form are made once, whoever asks, and nothing may follow what may not come', () => {
  let read = 0;
  const counting = new Proxy(trie, {
    get: (target, name) => {
      if (name === 'bytes') read++;
      return target[name as keyof TokenTrie];
    },
  });
  const bytesOf = (id: number) => vocabulary[id] as Uint8Array;
  const constraints = new Constraints({ trie: counting, bytesOf, endTokenIds: [endTokenId] });
  const program = programs[2][1];
  const [one, other] = [constraints.begin(program), constraints.begin({ ...program })];
  const mask = one.mask();
  const first = read;
  expect(first).toBeGreaterThan(0);
  expect(other.mask()).toBe(mask);
  one.write('a'.charCodeAt(0));
  expect(one.mask()).toBe(mask);
  expect(read).toBe(first);
  one.write('1'.charCodeAt(0));
  expect(one.mask()).not.toBe(mask);
  expect(idsOf(one.mask())).toContain(endTokenId);
  expect(read).toBeGreaterThan(first);
  other.write('x'.charCodeAt(0));
  expect(idsOf(other.mask())).toEqual([]);
});

test('masks are kept up to so many bytes; of more, those unused longest go', () => {
  const single = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
  const [a, end] = ['a'.charCodeAt(0), 255];
  const vocabularyOf = { trie: new TokenTrie(single, [end]), bytesOf: (id: number) => single[id] as Uint8Array };
  const program = buildProgram(regexGrammar('[ab]{9}', { field: 'f', matches: 'whole' }), 'ab', 'f');
  // Two ids of four bytes each, after every letter.
  const constraints = new Constraints({ ...vocabularyOf, endTokenIds: [end] }, 3 * 8);
  const after = (letters: number): TokenMask => {
    const text = constraints.begin(program);
    for (let n = 0; n < letters; n++) text.write(a);
    return text.mask();
  };
  const made = [1, 2, 3].map(after);
  expect([1, 2, 3].map(after).every((mask, at) => mask === made[at])).toBe(true);
  // The first is used again before there is a fourth, the second is not.
  expect(after(1)).toBe(made[0]);
  const fourth = after(4);
  expect(after(3)).toBe(made[2]);
  expect(after(1)).toBe(made[0]);
  expect(after(4)).toBe(fourth);
  expect(after(2)).not.toBe(made[1]);
  expect(after(2)).toEqual(made[1]);
  // Now the third was unused longest.
  expect(after(1)).toBe(made[0]);
  expect(after(4)).toBe(fourth);
  expect(after(3)).not.toBe(made[2]);
});
