import { goldenCases, picturesOf, visibleAnswer } from '@tessera/testing/demo-model/goldens';
import { expect, test } from 'vitest';
import { ask } from '../support/ask.js';
import { deploy } from '../support/deployment.js';

const atOnce = 64;

// More than ten of anything on one emitter or signal makes Node warn, and a deployment's stop throws then.
test(`${atOnce} requests at once are answered right, and no process warns of leaking listeners`, async () => {
  await using deployment = await deploy();
  const answers = await Promise.all(
    Array.from({ length: atOnce }, async (_, at) => {
      const golden = goldenCases[at % goldenCases.length];
      if (golden === undefined) throw new Error('there are goldens');
      const media = picturesOf(golden);
      const { text } = await ask(deployment.gateway, [{ says: [...media, golden.question] }], { draw: { steps: 2 } });
      return [text, visibleAnswer(golden)];
    }),
  );
  for (const [text, expected] of answers) expect(text).toBe(expected);
});
