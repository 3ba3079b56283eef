import { Constraints, compileFormat, greedySampling, Sampler, TokenTrie } from '@tessera/llm';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import type { Cell, Section } from '../report.js';
import { languageRow, vocabularySize } from './sampling.js';
import type { Suite, SuiteContext } from './suite.js';

type Format = Parameters<typeof compileFormat>[0]['format'];

const schema = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    summary: { type: 'string', maxLength: 200 },
    age: { type: 'integer', minimum: 0, maximum: 130 },
    tags: { type: 'array', items: { type: 'string' } },
    when: { type: 'string', format: 'date-time' },
    next: { $ref: '#' },
  },
  required: ['name', 'summary', 'age', 'tags', 'when'],
};
const formats: readonly (readonly [string, Format])[] = [
  ['any JSON object', { $case: 'jsonObject', value: {} }],
  ['a schema of six properties', { $case: 'jsonSchema', value: { name: '', schema: JSON.stringify(schema) } }],
  ['a pattern: [A-Z][a-z ]{10,80}[.!?]', { $case: 'regex', value: '[A-Z][a-z ]{10,80}[.!?]' }],
];

/** Tokens as byte-level vocabularies have them: all bytes, words of several languages with and without a blank, digits, signs. */
function inventedVocabulary(): Uint8Array[] {
  const random = seededRandom(1);
  const pick = <T>(from: ArrayLike<T>): T => from[Math.floor(random() * from.length)] as T;
  const syllables =
    'the ing er an re on at en nd st es or te ti is it ar in le se co de io ra me ne ro li ri ca no si la'.split(' ');
  const signs = '"{}[]:,\n\t .()<>=/\\;!?-_';
  const word = (): string => {
    const kind = random();
    if (kind < 0.17)
      return Array.from({ length: 1 + (random() < 0.6 ? 1 : 0) }, () =>
        String.fromCodePoint(0x4e00 + Math.floor(random() * 20_000)),
      ).join('');
    if (kind < 0.22) return Array.from({ length: 1 + Math.floor(random() * 4) }, () => pick(signs)).join('');
    if (kind < 0.25) return String(Math.floor(random() * 1000));
    const letters = Array.from({ length: 1 + Math.floor(random() * 4) }, () => pick(syllables)).join('');
    const cased = random() < 0.2 ? letters.toUpperCase() : letters;
    return `${random() < 0.5 ? ' ' : ''}${cased}${random() < 0.05 ? '",' : ''}`;
  };
  const words = new Set<string>();
  while (words.size < vocabularySize - 512) words.add(word());
  const tokens: Uint8Array[] = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
  for (const each of words) tokens.push(Buffer.from(each));
  while (tokens.length < vocabularySize) tokens.push(new Uint8Array(0));
  return tokens;
}

/** Of one answer. */
const mostTokens = 200;

/** What it costs to hold answers to a form, over a large vocabulary. */
export const forms: Suite = {
  name: 'forms',
  about: `masks of JSON and patterns over ${vocabularySize} words, made anew and known; in one thread`,
  async run({ times, say }: SuiteContext): Promise<Section[]> {
    const vocabulary = inventedVocabulary();
    const endTokenIds = [vocabularySize - 1];
    const bytesOf = (id: number) => vocabulary[id] as Uint8Array;
    const startedMs = performance.now();
    const trie = new TokenTrie(vocabulary, endTokenIds);
    const trieMs = performance.now() - startedMs;
    const answers = times(10);
    const row = languageRow(seededRandom(2));
    const rows: Cell[][] = [];
    for (const [name, format] of formats) {
      say(`forms: ${name}`);
      const compiledAt = performance.now();
      const program = compileFormat({ format }, '');
      const compileMs = performance.now() - compiledAt;
      const constraints = new Constraints({ trie, bytesOf, endTokenIds });
      const firstMs: number[] = [];
      const againMs: number[] = [];
      let tokens = 0;
      for (let round = 0; round < answers; round++) {
        // The first time the masks are made that no answer before needed; the second time all are there.
        for (const measured of [firstMs, againMs]) {
          const sampler = new Sampler(
            { ...greedySampling, temperature: 1, seed: BigInt(round) },
            endTokenIds,
            constraints.begin(program),
          );
          const before = process.cpuUsage();
          let written = 0;
          while (written < mostTokens && !endTokenIds.includes(sampler.sample(row, written).id)) written++;
          const { user, system } = process.cpuUsage(before);
          measured.push((user + system) / 1000);
          if (measured === againMs) tokens += written;
        }
      }
      const sum = (all: readonly number[]) => all.reduce((total, ms) => total + ms, 0);
      rows.push([name, compileMs, tokens, sum(againMs) / tokens, sum(firstMs) / tokens, Math.max(...firstMs)]);
    }
    return [
      {
        title: `A row of ${vocabularySize} words held to a form`,
        notes: [
          `Mask and choice at temperature 1, ${answers} answers of up to ${mostTokens} tokens each, the same logits at each place; processor`,
          `time. An invented vocabulary, of which the tree has ${trie.bytes.length} nodes and took ${trieMs.toFixed(0)} ms to make, once an engine.`,
          '"First" makes the masks that no answer before needed; "again" is the same answer once more.',
        ],
        columns: [
          { title: 'form' },
          { title: 'compiled, ms', digits: 1 },
          { title: 'tokens' },
          { title: 'again, ms a token', digits: 2 },
          { title: 'first, ms a token', digits: 2 },
          { title: 'dearest answer, ms', digits: 0 },
        ],
        rows,
      },
    ];
  },
};
