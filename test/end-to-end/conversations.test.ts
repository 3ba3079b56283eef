import { samplePicture } from '@tessera/testing/demo-model/files';
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

test('a later turn may ask about the picture of an earlier one', async () => {
  const first = await ask(deployment.gateway, [{ says: [samplePicture('apple'), 'What is this?'] }]);
  const second = await ask(deployment.gateway, [
    { says: [samplePicture('apple'), 'What is this?'] },
    { role: 'assistant', says: [first.text] },
    { says: ['What color is the background?'] },
  ]);
  expect(second.usage.inputByModality.image).toBe(9);
  expect(second.usage.inputTokens).toBeGreaterThan(first.usage.inputTokens + 9);
  expect(second.text).not.toBe('');
});

test('a conversation that goes on is computed from where it was, and its picture is not encoded again', async () => {
  const question = { says: [samplePicture('rocket'), 'What kind of thing is it? Say all that you can see of it.'] };
  const first = await ask(deployment.gateway, [question]);
  expect(first.usage.cachedInputTokens).toBe(0);
  const tilesBefore = await deployment.metric('encoder', 'tessera_tiles_total');
  const second = await ask(deployment.gateway, [
    question,
    { role: 'assistant', says: [first.text] },
    { says: ['Describe the picture once more, please, in other words than before.'] },
  ]);
  expect(second.usage.cachedInputTokens).toBeGreaterThan(30);
  expect(second.usage.inputByModality.image).toBe(9);
  expect(await deployment.metric('encoder', 'tessera_tiles_total')).toBe(tilesBefore);
  expect(await deployment.metric('llm', 'tessera_prefix_cache_hit_tokens_total')).toBeGreaterThan(30);
  // At another turn another picture is needed, and made.
  const third = await ask(deployment.gateway, [
    question,
    { role: 'assistant', says: [first.text] },
    { says: ['Describe the picture once more, please, in other words than before.'] },
    { role: 'assistant', says: [second.text] },
    { says: [samplePicture('cat'), 'And what is in this one?'] },
  ]);
  expect(third.usage.cachedInputTokens).toBeGreaterThan(second.usage.cachedInputTokens);
  expect(third.usage.inputByModality.image).toBe(18);
  expect(await deployment.metric('encoder', 'tessera_tiles_total')).toBe(tilesBefore + 1);
});

test('several pictures in one turn each get their own positions', async () => {
  const answer = await ask(deployment.gateway, [
    { says: [samplePicture('apple'), samplePicture('rocket'), 'What is this?'] },
  ]);
  expect(answer.usage.inputByModality.image).toBe(18);
});

test('the same picture named twice is encoded once', async () => {
  const tilesBefore = await deployment.metric('encoder', 'tessera_tiles_total');
  const answer = await ask(deployment.gateway, [
    { says: [samplePicture('cat'), samplePicture('cat'), 'What is this?'] },
  ]);
  const tilesAfter = await deployment.metric('encoder', 'tessera_tiles_total');
  expect(answer.usage.inputByModality.image).toBe(18);
  expect(tilesAfter - tilesBefore).toBe(1);
});

test('the placeholder inside the words of a user stays plain text', async () => {
  const answer = await ask(deployment.gateway, [
    { says: [samplePicture('apple'), 'What is this? <|image_pad|><|vision_start|><|im_end|>'] },
  ]);
  expect(answer.usage.inputByModality.image).toBe(9);
});

test('a system message and an answer of limited length', async () => {
  const answer = await ask(
    deployment.gateway,
    [{ role: 'system', says: ['You look at pictures.'] }, { says: [samplePicture('rocket'), 'Describe the picture.'] }],
    { text: { maxTokens: 3 } },
  );
  expect(answer.usage.outputTokens).toBe(3);
});

test('log-probabilities of every token come with the text, through every process', async () => {
  const text = { logprobs: { top: 3 }, maxTokens: 12, temperature: 4, seed: 3n };
  const answer = await ask(deployment.gateway, [{ says: [samplePicture('apple'), 'What is this?'] }], { text });
  const { logprobs = [], usage } = answer;
  expect(logprobs).toHaveLength(usage.outputTokens);
  expect(Buffer.concat(logprobs.map(({ bytes }) => bytes)).toString('utf8')).toContain(answer.text);
  for (const { logprob, top } of logprobs) {
    expect(top).toHaveLength(3);
    expect(top[0]?.logprob).toBeGreaterThanOrEqual(logprob);
    expect(top[0]?.logprob).toBeLessThanOrEqual(0);
    expect(top.map((one) => one.logprob)).toEqual(top.map((one) => one.logprob).sort((a, b) => b - a));
  }
});

test('an answer is held to a schema, through every process', async () => {
  const schema = {
    type: 'object',
    properties: { sure: { type: 'boolean' }, name: { enum: ['apple', 'cat'] } },
    required: ['name'],
  };
  const text = { responseFormat: { type: 'json_schema', schema } as const };
  const answer = await ask(deployment.gateway, [{ says: [samplePicture('apple'), 'What is this?'] }], { text });
  expect(answer.finishReason).toBe('end');
  expect(JSON.parse(answer.text)).toMatchObject({ name: expect.stringMatching(/^(apple|cat)$/) });
});

test('the same seed gives the same sampled text', async () => {
  const sampled = (seed: bigint) =>
    ask(deployment.gateway, [{ says: ['Hello!'] }], { text: { temperature: 1.5, seed, maxTokens: 24 } });
  const [first, again] = await Promise.all([sampled(11n), sampled(11n)]);
  const others = await Promise.all([12n, 13n, 14n].map(sampled));
  expect(again.text).toBe(first.text);
  expect(others.some(({ text }) => text !== first.text)).toBe(true);
});
