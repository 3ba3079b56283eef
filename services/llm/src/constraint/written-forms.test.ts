import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { Ajv } from 'ajv';
import formats from 'ajv-formats';
import { beforeAll, expect, test } from 'vitest';
import { loadPromptBuilder } from '../prompt/load-prompt-builder.js';
import { Sampler } from '../sampling/sampler.js';
import { hotSampling } from '../testing/hot-sampling.js';
import { TokenBytes } from '../text/token-bytes.js';
import { compileFormat } from './compile-format.js';
import { constraintVocabulary } from './constraint-vocabulary.js';
import { Constraints } from './constraints.js';

/** The demo model's 2048 tokens. */
let bytes: TokenBytes;
let constraints: Constraints;
let endTokenIds: readonly number[];
const size = 2048;
let closing: Set<number>;

beforeAll(async () => {
  const bundle = await readBundle(await demoBundleDir());
  bytes = new TokenBytes((await loadPromptBuilder(bundle)).tokenizer);
  endTokenIds = bundle.manifest.llm.eosTokenIds;
  const all = bytes.all(size);
  constraints = new Constraints(constraintVocabulary(bytes, size, endTokenIds));
  closing = new Set(all.flatMap((token, id) => (/["\]}]/.test(Buffer.from(token).toString('latin1')) ? [id] : [])));
});

/** Writes under random logits, in which only what closes something is likelier, so that texts have an end. */
function write(format: Parameters<typeof compileFormat>[0]['format'], seed: number, most = 600): string | undefined {
  const sampler = new Sampler(
    { ...hotSampling, seed: BigInt(seed) },
    endTokenIds,
    constraints.begin(compileFormat({ format }, 'text.')),
  );
  const random = seededRandom(seed);
  const logits = new Float32Array(size);
  const written: Uint8Array[] = [];
  for (let position = 0; position < most; position++) {
    for (let id = 0; id < size; id++) logits[id] = random() * 4 + (closing.has(id) ? 5 : 0);
    for (const id of endTokenIds) logits[id] = 8;
    const { id } = sampler.sample(logits, position);
    if (endTokenIds.includes(id)) return Buffer.concat(written).toString('utf8');
    expect(bytes.of(id).length).toBeGreaterThan(0);
    written.push(bytes.of(id));
  }
  return undefined;
}

/** A schema of what is built, of any kind. */
function inventedSchema(random: () => number, depth = 0): object {
  const count = (most: number): number => Math.floor(random() * (most + 1));
  const maybe = <T extends object>(part: T): T | object => (random() < 0.5 ? part : {});
  const inner = (): object => inventedSchema(random, depth + 1);
  const kinds: (() => object)[] = [
    () => ({ type: 'string', ...maybe({ minLength: count(3) }), ...maybe({ maxLength: 3 + count(5) }) }),
    () => ({ type: 'string', pattern: ['^a|b$', '[0-9]{2,3}', '^"\\\\\\n?$', '^[^a-z]{0,3}$'][count(3)] }),
    () => ({ type: 'string', format: ['date', 'time', 'date-time', 'uuid'][count(3)] }),
    () => ({ type: 'integer', ...maybe({ minimum: count(50) - 25 }), ...maybe({ maximum: 30 + count(1000) }) }),
    () => ({ type: 'number', ...maybe({ exclusiveMinimum: count(50) - 25 }), ...maybe({ maximum: 30 + count(1000) }) }),
    () => ({ type: ['boolean', 'null'] }),
    () => ({ enum: ['a', 'é"\n', 1.5, null, { a: [1] }].slice(0, 1 + count(4)) }),
    () => ({ const: [1, { b: 'c' }] }),
  ];
  const nested: (() => object)[] = [
    () => {
      const names = ['a', 'ab', 'b"', '', '你'].slice(0, count(5));
      const properties = Object.fromEntries(names.map((name) => [name, inner()]));
      const additional = [undefined, true, false, inner()][count(3)];
      return {
        type: 'object',
        properties,
        required: names.filter(() => random() < 0.5),
        ...(additional === undefined ? {} : { additionalProperties: additional }),
      };
    },
    () => ({ type: 'array', items: inner(), minItems: count(2), ...maybe({ maxItems: 2 + count(2) }) }),
    () => ({ anyOf: [inner(), inner()] }),
    () => ({ $ref: '#/$defs/tree' }),
  ];
  const all = depth < 3 ? [...kinds, ...nested, ...nested] : kinds;
  return (all[count(all.length - 1)] as () => object)();
}

const tree = {
  type: 'object',
  properties: { value: { type: 'integer' }, below: { type: 'array', items: { $ref: '#/$defs/tree' } } },
  required: ['value'],
};

test('whatever a model would write, what ends keeps its schema', () => {
  const ajv = formats.default(new Ajv({ strict: false, unicodeRegExp: true }));
  const random = seededRandom(11);
  let ended = 0;
  for (let round = 0; round < 120; round++) {
    const schema = { ...inventedSchema(random), $defs: { tree } };
    const isValid = ajv.compile(schema);
    const source = JSON.stringify(schema);
    const written = write({ $case: 'jsonSchema', value: { name: '', schema: source } }, round);
    if (written === undefined) continue;
    ended++;
    const value: unknown = JSON.parse(written);
    expect(isValid(value), `${source}\n${written}\n${JSON.stringify(isValid.errors)}`).toBe(true);
  }
  expect(ended).toBeGreaterThan(100);
});

test('any object is an object, and a pattern matches the whole text', () => {
  let ended = 0;
  for (let seed = 0; seed < 15; seed++) {
    const object = write({ $case: 'jsonObject', value: {} }, seed);
    if (object !== undefined) expect(JSON.parse(object)).toBeTypeOf('object');
    for (const pattern of ['[a-zé你]{1,20}', '(yes|no)( [0-9]+)*', '[^"]*"?']) {
      const text = write({ $case: 'regex', value: pattern }, seed);
      if (text === undefined) continue;
      ended++;
      expect(text).toMatch(new RegExp(`^(?:${pattern})$`, 'u'));
    }
  }
  expect(ended).toBeGreaterThan(20);
});
