import { goldenCases } from '@tessera/testing/demo-model/goldens';
import { expect, test } from 'vitest';
import { FirmnessCheck } from './firm-answers.js';

// What tests sample and compare over different paths of arithmetic. A new one belongs here; where it is not firm, take
// another seed.
const wild = { maxTokens: 24, temperature: 8, topP: 0.95, topK: 100 };
const penalised = {
  ...wild,
  maxTokens: 16,
  minTokens: 12,
  minP: 0.02,
  seed: 9n,
  presencePenalty: 2,
  frequencyPenalty: 1.5,
  repetitionPenalty: 1.2,
};
type Sampled = [where: string, words: string, pictures: string[], text: Record<string, unknown>];
const sampled: Sampled[] = [
  ['engine/sampling.test.ts, among others', 'Hello!', [], { ...wild, seed: 7n }],
  ['engine/sampling.test.ts, taken over', 'Hello!', [], { ...wild, seed: 9n }],
  ['engine/sampling.test.ts, taken over', '你是谁？', [], { ...wild, seed: 9n }],
  ['engine/sampling.test.ts, at the end of the context', 'Hello!', [], { maxTokens: 30, temperature: 8, seed: 9n }],
  ['engine/text-options.test.ts', 'Hello!', [], penalised],
  ['test/failure, an engine dies', 'Hello!', [], { maxTokens: 600, temperature: 10, seed: 4n }],
  ['test/failure, one of two engines dies', 'Hello!', ['apple'], { maxTokens: 600, temperature: 10, seed: 4n }],
  ...[4n, 5n, 6n].map(
    (seed): Sampled => [
      'test/end-to-end, choices',
      'What is this? Say all that you can see of it, in as many words as you need.',
      ['rocket'],
      { maxTokens: 300, temperature: 10, seed },
    ],
  ),
];

test('the answers that tests compare over different paths are firm', async () => {
  await using check = await FirmnessCheck.create();
  const picturesOf = (image: string | null): string[] => (image === null ? [] : [image.replace('.png', '')]);
  for (const { id, question, image } of goldenCases) {
    sampled.push([`golden ${id}`, question, picturesOf(image), {}]);
    const text = { maxTokens: 40, temperature: 4, seed: 3n };
    if (image !== null && id.endsWith('.1')) sampled.push(['prefill-together', question, picturesOf(image), text]);
  }
  // A few at a time share steps.
  const loose: string[] = [];
  while (sampled.length > 0) {
    const some = sampled.splice(0, 5);
    const firm = await Promise.all(some.map(([, words, pictures, text]) => check.isFirm(words, pictures, { text })));
    loose.push(...some.flatMap(([where, words], at) => (firm[at] ? [] : [`${where}: ${words}`])));
  }
  expect(loose).toEqual([]);
}, 600_000);

test('an answer that hangs on less than the noise is found out', async () => {
  await using check = await FirmnessCheck.create(0.05);
  expect(await check.isFirm('Hello!', [], { text: { ...wild, seed: 7n } })).toBe(false);
});
