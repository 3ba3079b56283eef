import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { Tokenizer } from '@tessera/tokenizer';
import { describe, expect, test } from 'vitest';
import { compileFormat } from '../../services/llm/src/constraint/compile-format.js';
import { constraintVocabulary } from '../../services/llm/src/constraint/constraint-vocabulary.js';
import { Constraints } from '../../services/llm/src/constraint/constraints.js';
import { Sampler } from '../../services/llm/src/sampling/sampler.js';
import { hotSampling } from '../../services/llm/src/testing/hot-sampling.js';
import { Detokenizer } from '../../services/llm/src/text/detokenizer.js';
import { TokenBytes } from '../../services/llm/src/text/token-bytes.js';
import { fixtureJson, fixtureNames, referenceOf } from './fixture.js';

describe.each(fixtureNames)('answers in the tokens of %s', (name) => {
  const tokenizer = new Tokenizer(fixtureJson(name, 'tokenizer.json'));
  const bytes = new TokenBytes(tokenizer);
  const all = bytes.all(tokenizer.size);

  test('what is given out at each token is what the tokens so far are written as', () => {
    const { texts, prefixes, prefixed } = referenceOf(name);
    expect(prefixed.length).toBeGreaterThan(5);
    expect(prefixes.flat().filter((decoded) => !decoded.includes('\ufffd')).length).toBeGreaterThan(50);
    for (const [at, decoded] of prefixes.entries()) {
      const { ids } = texts[prefixed[at] as number] as (typeof texts)[number];
      const detokenizer = new Detokenizer(bytes);
      let given = '';
      for (const [end, id] of ids.entries()) {
        given += detokenizer.push(id).text;
        // A character that is cut is given out when it is whole; the library marks its bytes, and all beside them.
        const now = decoded[end] as string;
        if (now.includes('\ufffd'))
          expect(decoded.at(-1)?.startsWith(given) || decoded.at(-1)?.includes('\ufffd')).toBe(true);
        else expect(given).toBe(now);
      }
      // Taken up by another engine in the middle, it goes on where it was.
      for (const cut of [1, Math.ceil(ids.length / 2)]) {
        const before = new Detokenizer(bytes);
        const told = ids.slice(0, cut).map((id) => before.push(id));
        const after = new Detokenizer(bytes);
        const givenIds = told.flatMap(({ tokenIds }) => tokenIds);
        after.resume(givenIds);
        const rest = ids.slice(givenIds.length).map((id) => after.push(id));
        expect([...told, ...rest].map(({ text }) => text).join('')).toBe(given);
      }
    }
  });

  // Without a token for each byte there are texts, and so forms, that a model cannot write.
  const writesAll = Array.from({ length: 256 }, (_, byte) => byte).every((byte) =>
    all.some((token) => token.length === 1 && token[0] === byte),
  );

  test.runIf(writesAll)(
    'an answer that is held to a form has it as it is read: without the space of its first word',
    () => {
      const size = tokenizer.size;
      const end = tokenizer.addedTokens.find(({ special }) => special)?.id ?? 0;
      const constraints = new Constraints(constraintVocabulary(bytes, size, [end]));
      const schema = JSON.stringify({
        type: 'object',
        properties: { a: { type: 'string', maxLength: 6 }, n: { type: 'integer', minimum: 0, maximum: 99 } },
        required: ['a', 'n'],
      });
      const forms = [
        { $case: 'jsonSchema', value: { name: '', schema } },
        { $case: 'regex', value: ' ?yes( [a-z]{1,4}){0,2}' },
        { $case: 'regex', value: ' {2}[a-z]+' },
        { $case: 'regex', value: '[🍎你é]{1,3} x' },
      ] as const;
      let ended = 0;
      for (const format of forms) {
        for (let seed = 0; seed < 12; seed++) {
          const written = write(constraints, bytes, size, end, format, seed);
          if (written === undefined) continue;
          ended++;
          if (format.$case === 'regex') expect(written).toMatch(new RegExp(`^(?:${format.value})$`, 'u'));
          else expect(JSON.parse(written)).toMatchObject({ a: expect.any(String), n: expect.any(Number) });
        }
      }
      expect(ended).toBeGreaterThan(10);
    },
  );
});

/** Writes under random logits; the text as a caller has it, undefined where it has no end. */
function write(
  constraints: Constraints,
  bytes: TokenBytes,
  size: number,
  end: number,
  format: NonNullable<Parameters<typeof compileFormat>[0]['format']>,
  seed: number,
): string | undefined {
  const constraint = constraints.begin(compileFormat({ format }, 'text.'));
  const sampler = new Sampler({ ...hotSampling, seed: BigInt(seed) }, [end], constraint);
  const random = seededRandom(seed + 1);
  const logits = new Float32Array(size);
  const detokenizer = new Detokenizer(bytes);
  let text = '';
  for (let position = 0; position < 200; position++) {
    for (let id = 0; id < size; id++) logits[id] = random() * 4 + (/^["}]/.test(firstLetter(bytes, id)) ? 4 : 0);
    logits[end] = 8;
    const { id } = sampler.sample(logits, position);
    if (id === end) return text + detokenizer.finish().text;
    text += detokenizer.push(id).text;
  }
  return undefined;
}

function firstLetter(bytes: TokenBytes, id: number): string {
  const [first] = bytes.of(id);
  return first === undefined ? '' : String.fromCharCode(first);
}
