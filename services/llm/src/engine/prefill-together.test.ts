import { goldenCase } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { collect, DemoEngine } from '../testing/demo-engine.js';

let demo: DemoEngine;

beforeAll(async () => {
  demo = await DemoEngine.create();
});

afterAll(() => demo.close());

// When the first one ends, the last one's slot is moved before those of the others. All complete their prompts in one
// step, the short ones first, and change slots with the long one: whose last rows must come along.
// At this temperature a small difference in what the model attends to changes the text; rounding does not, see
// testing/firm-answers.test.ts.
const sensitive = { text: { temperature: 4, seed: 3n, maxTokens: 40 } };

// When the one before them ends, the last one takes its slot, in front of the others. All complete their prompts in one
// step, the short ones first, and change places with the long one, whose rows of this very step must come along.
test('prompts of different lengths that become complete in one step, out of the order of their slots', async () => {
  const waiting = ['apple.1', 'cat.1', 'rocket.1'].map(goldenCase);
  const alone: number[][] = [];
  for (const golden of waiting) alone.push((await demo.start(golden, sensitive)).tokenIds);

  const before = demo.start(goldenCase('cat.2'));
  const requests = waiting.map((golden) => demo.golden(golden, sensitive));
  const answers = requests.map((request) => collect(demo.engine.submit(request)));
  expect((await before).tokenIds).toEqual(goldenCase('cat.2').output_ids);
  for (const [index, request] of requests.entries()) demo.provide(request, 0, waiting[index]?.image ?? '');
  const together = (await Promise.all(answers)).map(({ tokenIds }) => tokenIds);
  expect(together).toEqual(alone);
});
