import { samplePicture } from '@tessera/testing/demo-model/files';
import { goldenCases, picturesOf, visibleAnswer } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask } from '../support/ask.js';
import { answersRight, atRest } from '../support/at-rest.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { awaitRestart, killAndAwaitRestart, signal } from '../support/processes.js';
import { question, RawChat } from '../support/raw-chat.js';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await deploy();
});
afterAll(async () => {
  await deployment?.stop();
});

/** Long, and the same each time: nearly every token is as likely as any other, but the seed decides. No choice lies
 * within rounding: see services/llm/src/testing/firm-answers.test.ts. */
const long = { temperature: 10, seed: 4n, maxTokens: 600 };

test('an engine dies while it writes: the text goes on without a token twice or skipped', async () => {
  const undisturbed = await ask(deployment.gateway, [{ says: ['Hello!'] }], { text: long, draw: { steps: 1 } });
  expect(undisturbed.usage.outputTokens).toBe(long.maxTokens);
  const attempts = await deployment.metric('gateway', 'tessera_gateway_attempts_total');

  using chat = new RawChat(deployment.gateway);
  chat.send({ $case: 'start', value: question('Hello!', [], { text: long, draw: { steps: 1 } }) }).close();
  await chat.event('textDelta');
  await killAndAwaitRestart(deployment, 'llm');
  expect(await chat.ended).toMatchObject({ status: 'OK' });

  expect(chat.text).toBe(undisturbed.text);
  const written = chat.events.reduce(
    (sum, event) => sum + (event.$case === 'textDelta' ? event.value.tokenCount : 0),
    0,
  );
  expect(written).toBe(long.maxTokens);
  const { usage } = await chat.event('finished');
  expect(usage).toMatchObject({ outputTokens: long.maxTokens });
  expect(await deployment.metric('gateway', 'tessera_gateway_attempts_total')).toBe(attempts + 1);
  await answersRight(deployment.gateway);
  await atRest(deployment);
});

test('an engine dies with many requests: all are answered right, and no picture is encoded more than twice', async () => {
  const tiles = await deployment.metric('encoder', 'tessera_tiles_total');
  const cases = goldenCases.filter(({ image }) => image !== null);
  const pid = deployment.pid('llm');
  let written = 0;
  const asked = cases.map(async (golden) => {
    using chat = new RawChat(deployment.gateway);
    chat.ask(golden.question, ['a']);
    for (const picture of picturesOf(golden)) chat.media('a', picture);
    chat.close();
    await chat.event('textDelta');
    // All are under way, and some have most of their answer.
    if (++written === 4) signal(deployment, 'llm', 'SIGKILL');
    expect(await chat.ended).toMatchObject({ status: 'OK' });
    return chat.text;
  });
  expect(await Promise.all(asked)).toEqual(cases.map(visibleAnswer));
  await awaitRestart(deployment, 'llm', pid);
  // Their tokens left NATS when the dead engine had them: the next one has them made again.
  const encoded = (await deployment.metric('encoder', 'tessera_tiles_total')) - tiles;
  expect(encoded).toBeGreaterThan(cases.length);
  expect(encoded).toBeLessThanOrEqual(2 * cases.length);
  await atRest(deployment);
});

test('an engine is gone before a request comes: it waits for the next one', async () => {
  const pid = deployment.pid('llm');
  signal(deployment, 'llm', 'SIGKILL');
  const answer = await ask(deployment.gateway, [{ says: [samplePicture('apple'), 'What is this?'] }]);
  expect(answer.text).toBe('This is a red apple.');
  await awaitRestart(deployment, 'llm', pid);
  await atRest(deployment);
});
