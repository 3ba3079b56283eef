import { goldenCases, picturesOf, visibleAnswer } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask } from '../support/ask.js';
import { answersRight, atRest, pids } from '../support/at-rest.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { greatestDifference, noisyPng } from '../support/pictures.js';
import { jobsUndone, signal } from '../support/processes.js';
import { question, RawChat } from '../support/raw-chat.js';

let deployment: Deployment;
beforeAll(async () => {
  deployment = await deploy({
    flags: { llm: ['--engine-tile-timeout-ms', '1500'] },
  });
});
afterAll(async () => {
  await deployment?.stop();
});

test('nats-server dies under load and comes back empty: every request is answered right, by the same processes', async () => {
  const before = pids(deployment);
  const asked = goldenCases.map(async (golden) => {
    const picture = picturesOf(golden);
    // Words only where the answer is no drawing: what becomes of those is a test of its own.
    const answer = await ask(deployment.gateway, [{ says: [...picture, golden.question] }], { draw: { steps: 1 } });
    return answer.text;
  });
  await deployment.restartNats();
  expect(await Promise.all(asked)).toEqual(goldenCases.map(visibleAnswer));
  expect(pids(deployment)).toEqual(before);
  await answersRight(deployment.gateway);
  await atRest(deployment);
});

test('a picture that lay in the object store is put there again', async () => {
  const large = await noisyPng(700, 500);
  expect(large.length).toBeGreaterThan(512 * 1024);
  const undisturbed = await ask(deployment.gateway, [{ says: [large, 'What is this?'] }]);
  // The encoder has the job and has not read the picture yet.
  signal(deployment, 'encoder', 'SIGSTOP');
  using chat = new RawChat(deployment.gateway);
  chat.ask('What is this?', ['large']).media('large', large).close();
  await jobsUndone(deployment, 'encode', 1);
  await deployment.restartNats(async () => signal(deployment, 'encoder', 'SIGCONT'));
  expect(await chat.ended).toMatchObject({ status: 'OK' });
  expect(chat.text).toBe(undisturbed.text);
  await atRest(deployment);
});

test('text that is being written does not notice', async () => {
  const text = { temperature: 10, seed: 4n, maxTokens: 400 };
  const undisturbed = await ask(deployment.gateway, [{ says: ['Hello!'] }], { text, draw: { steps: 1 } });
  const attempts = await deployment.metric('gateway', 'tessera_gateway_attempts_total');
  using chat = new RawChat(deployment.gateway);
  chat.send({ $case: 'start', value: question('Hello!', [], { text, draw: { steps: 1 } }) }).close();
  await chat.event('textDelta');
  await deployment.restartNats();
  expect(await chat.ended).toMatchObject({ status: 'OK' });
  expect(chat.text).toBe(undisturbed.text);
  expect(await deployment.metric('gateway', 'tessera_gateway_attempts_total')).toBe(attempts);
});

test('a drawing that waited in the queue is made again', async () => {
  const request = 'Draw a red apple on a blue background.';
  const draw = { seed: 7n, steps: 4 };
  const undisturbed = await ask(deployment.gateway, [{ says: [request] }], { draw });
  signal(deployment, 'generator', 'SIGSTOP');
  using chat = new RawChat(deployment.gateway);
  chat.ask(request, [], { draw }).close();
  await jobsUndone(deployment, 'generate', 1);
  // The generator that had it is gone as well: nobody holds the condition but the engine, which can make it again.
  await deployment.restartNats(async () => signal(deployment, 'generator', 'SIGKILL'));
  expect(await chat.ended).toMatchObject({ status: 'OK' });
  expect(chat.text).toBe(undisturbed.text);
  const parts = chat.events.flatMap((event) => (event.$case === 'mediaPart' ? [event.value.data] : []));
  // The condition comes from a prefill this time: see "What is equal to what" in docs/architecture.md.
  const first = undisturbed.pictures[0]?.bytes ?? new Uint8Array();
  expect(await greatestDifference(Buffer.concat(parts), first)).toBeLessThanOrEqual(2);
  await answersRight(deployment.gateway);
  await atRest(deployment);
});
