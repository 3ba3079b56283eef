import { samplePicture } from '@tessera/testing/demo-model/files';
import { goldenCases, picturesOf, visibleAnswer } from '@tessera/testing/demo-model/goldens';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask } from '../support/ask.js';
import { type Deployment, deploy } from '../support/deployment.js';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await deploy();
});
afterAll(async () => {
  await deployment?.stop();
});

test.each(goldenCases)('$id: $question', async (golden) => {
  const answer = await ask(deployment.gateway, [{ says: [...picturesOf(golden), golden.question] }]);
  expect(answer.text).toBe(visibleAnswer(golden));
});

test('sixteen at once get what each gets alone', async () => {
  const cases = [...goldenCases, ...goldenCases].slice(0, 16);
  const answers = await Promise.all(
    cases.map((golden) => {
      const picture = picturesOf(golden);
      return ask(deployment.gateway, [{ says: [...picture, golden.question] }]);
    }),
  );
  expect(answers.map(({ text }) => text)).toEqual(cases.map(visibleAnswer));
});

test('a drawing comes as a PNG, the same for the same seed, another for another', async () => {
  const draw = (seed: bigint) =>
    ask(deployment.gateway, [{ says: ['Draw a red apple on a blue background.'] }], { draw: { seed, steps: 4 } });
  const [first, again, other] = [await draw(7n), await draw(7n), await draw(8n)];
  const picture = first.pictures[0];
  expect(picture?.mimeType).toBe('image/png');
  const { width, height, format } = await sharp(picture?.bytes).metadata();
  expect({ width, height, format }).toEqual({ width: 96, height: 96, format: 'png' });
  expect(Buffer.compare(picture?.bytes ?? Buffer.alloc(0), again.pictures[0]?.bytes ?? Buffer.alloc(0))).toBe(0);
  expect(Buffer.compare(picture?.bytes ?? Buffer.alloc(0), other.pictures[0]?.bytes ?? Buffer.alloc(0))).not.toBe(0);
  expect(first.usage.outputMedia).toBe(1);
});

test('the time line names what every stage did', async () => {
  const answer = await ask(
    deployment.gateway,
    [{ says: [samplePicture('apple'), 'Draw a red apple on a blue background.'] }],
    {
      draw: { steps: 2 },
    },
  );
  const done = new Set(answer.timeline.map(({ stage, name }) => `${stage} ${name}`));
  expect([...done]).toEqual(
    expect.arrayContaining(['encoder encode', 'connector connect', 'llm prefill', 'llm decode', 'gateway prefilling']),
  );
  for (const span of answer.timeline) {
    expect(span.startMs).toBeGreaterThanOrEqual(0);
    expect(span.durationMs).toBeGreaterThanOrEqual(0);
  }
});
