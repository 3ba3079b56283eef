import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { Ajv } from 'ajv';
import formats from 'ajv-formats';
import { expect, test } from 'vitest';
import { reader } from '../testing/read-form.js';
import { schemaGrammar } from './schema-grammar.js';

const read = (schema: unknown) => reader(schemaGrammar(schema, 'schema'));

const person = {
  type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer', minimum: 0 }, 'n"': { type: 'null' } },
  required: ['age'],
};
const tree = {
  $ref: '#/$defs/node',
  $defs: {
    node: {
      type: 'object',
      properties: { value: { type: 'number' }, children: { type: 'array', items: { $ref: '#/$defs/node' } } },
      required: ['value'],
    },
  },
};
const month = { type: 'string', pattern: '^(0[1-9]|1[0-2])$' };

test.each<[what: string, schema: unknown, has: string[], hasNot: string[]]>([
  [
    'an object',
    person,
    ['{"age":1}', '{"name":"a","age":0}', '{ "name": "a", "age": 1, "n\\"": null }', '{\n  "age": 1\n}'],
    [
      '{}',
      '{"name":"a"}',
      '{"age":1,"name":"a"}',
      '{"age":1,}',
      '{"age":-1}',
      '{"age":1,"x":1}',
      '{"age" :1}',
      ' {"age":1}',
      '{"age":1} ',
    ],
  ],
  ['no properties', { type: 'object', properties: {}, additionalProperties: false }, ['{}', '{ }'], ['{"a":1}']],
  [
    'further properties',
    { type: 'object', properties: { ab: { type: 'null' } }, additionalProperties: { type: 'integer' } },
    ['{"ab":null}', '{"ab":null,"a":1,"abc":2,"b":3,"":4}', '{"é":1}', '{"ba":1}', '{"\\n":1}'],
    ['{"ab":1}', '{"a":null}', '{"ab":null,"ab":1}', '{"\\u0061b":1}', '{"a":1,"ab":null}'],
  ],
  ['what is required and not described', { type: 'object', required: ['a'] }, ['{"a":[1]}'], ['{}', '{"a":1,"b":2}']],
  [
    'any object',
    { type: 'object' },
    ['{}', '{"a":{"b":[1,"x",null,true,1e5,-0.5]}}'],
    ['[]', '1', '{"a"}', '{"a":01}', '{"a":.5}'],
  ],
  [
    'an array',
    { type: 'array', items: { type: 'boolean' }, minItems: 1, maxItems: 2 },
    ['[true]', '[true, false]'],
    ['[]', '[true,false,true]', '[1]'],
  ],
  [
    'an array of at least two',
    { items: { type: 'null' }, minItems: 2 },
    ['[null,null]', '[null,null,null]'],
    ['[null]', '[]'],
  ],
  ['an empty array', { type: 'array', maxItems: 0 }, ['[]', '[ ]'], ['[1]']],
  ['any array', { type: 'array' }, ['[]', '[1,[2,{"a":[]}]]'], ['[1,]', '{}']],
  [
    'a string',
    { type: 'string' },
    ['""', '"é🍎\\n\\u00e9\\/"'],
    ['"', '"\n"', '"\\x"', '"\\ud83d\\ude00"', "'a'", 'a'],
  ],
  ['a short string', { minLength: 1, maxLength: 2 }, ['"a"', '"ab"', '"🍎é"', '"\\n\\u0041"'], ['""', '"abc"']],
  ['a pattern', { type: 'string', pattern: '^a+$' }, ['"a"', '"aaa"'], ['""', '"b"', '"\\u0061"']],
  ['a pattern anywhere', { pattern: 'b"\\n' }, ['"b\\"\\n"', '"aab\\"\\nc"'], ['"b"', '"b\\""']],
  ['the months', month, ['"01"', '"12"'], ['"00"', '"13"', '"1"']],
  [
    'an enum',
    { enum: ['a', 1, null, { b: [2] }, 'é"'] },
    ['"a"', '1', 'null', '{"b":[2]}', '"é\\""'],
    ['"b"', '2', '{"b": [2]}'],
  ],
  ['an enum of a type', { type: 'string', enum: ['a', 1] }, ['"a"'], ['1']],
  ['a const', { const: 'x' }, ['"x"'], ['"y"']],
  ['one of several', { anyOf: [{ type: 'integer' }, { type: 'string', maxLength: 1 }] }, ['1', '"a"'], ['1.5', '"ab"']],
  ['several types', { type: ['string', 'null'], maxLength: 1 }, ['"a"', 'null'], ['"ab"', '1']],
  ['one schema in allOf', { allOf: [{ type: 'null' }], description: 'nothing' }, ['null'], ['1']],
  [
    'numbers',
    { type: 'number' },
    ['0', '-1', '1.50', '1e9', '-1.5E-3'],
    ['01', '1.', '.5', '+1', '1e', '1e999', 'NaN'],
  ],
  ['integers', { type: 'integer' }, ['0', '-12', '123456789012345'], ['1.0', '1e3', '1234567890123456', '-']],
  [
    'a range of integers',
    { type: 'integer', minimum: -12, exclusiveMaximum: 105 },
    ['-12', '-9', '0', '7', '99', '100', '104'],
    ['-13', '105', '110', '00', '1000'],
  ],
  ['integers over a fraction', { type: 'integer', minimum: 1.5, maximum: 3.5 }, ['2', '3'], ['1', '4']],
  [
    'integers over a fraction that is left out',
    { type: 'integer', exclusiveMinimum: -1.5, exclusiveMaximum: 2.5 },
    ['-1', '0', '2'],
    ['-2', '3'],
  ],
  [
    'integers over whole numbers that are left out',
    { type: 'integer', exclusiveMinimum: 1, exclusiveMaximum: 4 },
    ['2', '3'],
    ['1', '4'],
  ],
  [
    'a range of numbers',
    { type: 'number', minimum: 0, maximum: 1 },
    ['0', '0.5', '1', '1.0', '0.000'],
    ['-0.1', '1.01', '2', '1e0'],
  ],
  [
    'an open range of numbers',
    { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 12 },
    ['0.5', '0.01', '11.9', '5', '0.000000012345678'],
    ['0', '0.0', '12', '12.0', '-1', '0.000000001'],
  ],
  [
    'numbers below zero',
    { type: 'number', maximum: -3, exclusiveMinimum: -10 },
    ['-3', '-3.0', '-9.99', '-4.2'],
    ['-2.9', '-10', '-10.0', '3', '0'],
  ],
  [
    'a tree',
    tree,
    ['{"value":1}', '{"value":1,"children":[{"value":2,"children":[]}]}'],
    ['{"children":[]}', '{"value":1,"children":[1]}'],
  ],
  ['a schema of itself', { type: 'array', items: { $ref: '#' } }, ['[]', '[[],[[]]]'], ['[1]']],
  [
    'a date',
    { format: 'date' },
    ['"2024-02-28"', '"1999-12-31"'],
    ['"2023-02-29"', '"2024-04-31"', '"2024-13-01"', '"24-01-01"'],
  ],
  [
    'a time stamp',
    { format: 'date-time' },
    ['"2024-02-28T23:59:59Z"', '"2024-02-28T00:00:00.5+02:00"'],
    ['"2024-02-28"', '"2024-02-28T24:00:00Z"', '"2024-02-28T00:00:00"'],
  ],
  ['a UUID', { format: 'uuid' }, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123e4567"']],
  ['anything', {}, ['1', '"a"', '[{}]', 'null'], ['a', '']],
  ['true', true, ['1'], ['a']],
])('%s', (_what, schema, has, hasNot) => {
  const ajv = formats.default(new Ajv({ strict: false }));
  const isValid = ajv.compile(schema as object);
  const form = read(schema);
  for (const text of has) {
    expect(form(text), text).toBe('whole');
    expect(isValid(JSON.parse(text)), text).toBe(true);
  }
  for (const text of hasNot) expect(form(text), text).not.toBe('whole');
});

test('every integer of a range, and no other', () => {
  const random = seededRandom(1);
  for (let round = 0; round < 30; round++) {
    const [a, b] = [Math.floor((random() - 0.5) * 3000), Math.floor((random() - 0.5) * 3000)] as const;
    const [minimum, maximum] = [Math.min(a, b), Math.max(a, b)];
    const form = read({ type: 'integer', minimum, maximum });
    for (let value = minimum - 20; value <= maximum + 20; value++) {
      if ((form(String(value)) === 'whole') !== (value >= minimum && value <= maximum)) {
        expect.fail(`${value} of ${minimum} to ${maximum}`);
      }
    }
  }
});

test('a range of numbers has those that are in it, and neither bound that is left out', () => {
  const random = seededRandom(2);
  for (let round = 0; round < 60; round++) {
    const low = Math.floor(random() * 30) - 15;
    const high = low + 1 + Math.floor(random() * 15);
    const [withLow, withHigh] = [random() < 0.5, random() < 0.5];
    const bounds = {
      [withLow ? 'minimum' : 'exclusiveMinimum']: low,
      [withHigh ? 'maximum' : 'exclusiveMaximum']: high,
    };
    const form = read({ type: 'number', ...bounds });
    for (let value = low - 2; value <= high + 2; value += 0.25) {
      const isIn = (withLow ? value >= low : value > low) && (withHigh ? value <= high : value < high);
      if ((form(String(value)) === 'whole') !== isIn) expect.fail(`${value} of ${JSON.stringify(bounds)}`);
    }
  }
});

test('a line is indented by 40 blanks and tabs at most, so that none goes on for ever', () => {
  const form = read(person);
  expect(form(`{\n${' \t'.repeat(20)}"age": 1\n}`)).toBe('whole');
  expect(form(`{\n${' '.repeat(41)}`)).toBe('neither');
});

test('values are nested 32 deep, and what could not be closed then is not begun', () => {
  const form = read({ type: 'array', items: { $ref: '#' } });
  expect(form('['.repeat(32))).toBe('beginning');
  expect(form('['.repeat(32) + ']'.repeat(32))).toBe('whole');
  expect(form('['.repeat(33))).toBe('neither');
  // Each level needs one more below it, which is known before its key is written.
  const deep = read({
    type: 'object',
    properties: { a: { type: 'object', properties: { b: { $ref: '#' } }, required: ['b'] } },
  });
  const pair = '{"a":{"b":';
  expect(deep(`${pair.repeat(15)}{`)).toBe('beginning');
  expect(deep(`${pair.repeat(15)}{"`)).toBe('neither');
  expect(deep(`${pair.repeat(15)}{}${'}}'.repeat(15)}`)).toBe('whole');
});

test.each<[schema: unknown, place: string]>([
  [{ not: {} }, '#/not'],
  [{ type: 'object', properties: { 'a/b': { oneOf: [] } } }, '#/properties/a~1b/oneOf'],
  [{ type: 'object', patternProperties: {} }, '#/patternProperties'],
  [{ type: 'array', uniqueItems: true }, '#/uniqueItems'],
  [{ type: 'array', items: { multipleOf: 2 } }, '#/items/multipleOf'],
  [{ allOf: [{}, {}] }, '#/allOf of more than one'],
  [{ anyOf: [{ type: 'null' }], type: 'string' }, '#/type beside anyOf'],
  [{ $ref: 'https://example.com/' }, '#/$ref to anything'],
  [{ type: 'string', format: 'email' }, '#/format "email"'],
  [{ type: 'string', pattern: 'a', minLength: 1 }, '#/pattern beside'],
  [{ type: 'string', pattern: '(?=a)' }, '#/pattern looking ahead'],
  [{ type: 'number', minimum: 0.5 }, '#/minimum of a number'],
  [{ $defs: { a: { unknown: 1 } }, $ref: '#/$defs/a' }, '#/$defs/a/unknown'],
])('%j is refused by the name of the keyword and its place: %s', (schema, place) => {
  const error = { code: 'UNSUPPORTED', options: { field: 'schema' }, message: expect.stringContaining(place) };
  expect(() => read(schema)).toThrow(expect.objectContaining(error));
});

test.each<[schema: unknown, problem: string]>([
  [false, '# allows nothing'],
  [1, '# is no schema'],
  [{ type: 'text' }, '# has the type "text"'],
  [{ type: 'array', items: [] }, '#/items is no schema'],
  [{ type: 'string', minLength: -1 }, 'minLength that is no count'],
  [{ type: 'string', minLength: 3, maxLength: 2 }, 'maxLength below its minLength'],
  [{ type: 'integer', minimum: 3, maximum: 2 }, 'allows no number'],
  [{ type: 'number', exclusiveMinimum: 2, maximum: 2 }, 'allows no number'],
  [{ type: 'number', minimum: -2, exclusiveMaximum: -2 }, 'allows no number'],
  [{ type: 'string', pattern: '(' }, '#/pattern is no regular expression'],
  [{ enum: [] }, 'enum that is no list'],
  [{ type: 'integer', enum: ['a'] }, 'allows no value'],
  [{ required: ['a'], additionalProperties: false }, 'requires "a" and does not allow it'],
  [{ $ref: '#/$defs/a' }, '# has a $ref to #/$defs/a, which is not there'],
  [{ $ref: '#' }, 'nothing but itself'],
  [{ $ref: '#/$defs/a', $defs: { a: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/a' }] } } }, 'nothing but itself'],
  [{ type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] }, 'no text has'],
  [{ type: 'array', minItems: 100_000 }, 'more than 50000 states'],
  [nestedArrays(70), 'more than 64 schemas deep'],
])('%j is refused, since it %s', (schema, problem) => {
  const error = { code: 'REQUEST_INVALID', message: expect.stringContaining(problem) };
  expect(() => read(schema)).toThrow(expect.objectContaining(error));
});

function nestedArrays(depth: number): object {
  return depth === 0 ? {} : { type: 'array', items: nestedArrays(depth - 1) };
}
