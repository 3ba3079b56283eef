import { fileURLToPath } from 'node:url';
import { ChildService, type ServiceReady } from '@tessera/cli';
import { eventually } from '@tessera/testing/async/eventually';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask } from '../support/ask.js';
import { answersRight, atRest } from '../support/at-rest.js';
import { type Deployment, deploy, sumMetric } from '../support/deployment.js';
import { awaitRestart, signal } from '../support/processes.js';
import { question, RawChat } from '../support/raw-chat.js';

let deployment: Deployment;
let second: ChildService;
let secondReady: ServiceReady;
beforeAll(async () => {
  deployment = await deploy();
  const main = fileURLToPath(new URL('./main.js', import.meta.resolve('@tessera/llm')));
  const flags = ['--model-dir', deployment.bundleDir, '--nats-url', deployment.natsUrl];
  second = new ChildService('llm', main, flags, () => undefined);
  secondReady = await second.start();
  await eventually(async () => (await deployment.metric('gateway', 'tessera_gateway_engines')) === 2, 'both are known');
});
afterAll(async () => {
  await deployment?.stop();
  await second?.stop(10_000);
});

/** No choice lies within rounding: see services/llm/src/testing/firm-answers.test.ts. */
const long = { temperature: 10, seed: 4n, maxTokens: 600 };

async function running(metrics: string): Promise<number> {
  const response = await fetch(`http://${metrics}/metrics`);
  return sumMetric(await response.text(), 'tessera_requests_running');
}

test('requests go to the engine with less to do', async () => {
  using one = new RawChat(deployment.gateway);
  using other = new RawChat(deployment.gateway);
  for (const chat of [one, other]) {
    chat.send({ $case: 'start', value: question('Hello!', [], { text: long }) });
    await chat.event('textDelta');
  }
  await eventually(async () => {
    const first = deployment.stack.address('llm')?.metrics ?? '';
    return (await running(first)) === 1 && (await running(secondReady.metrics)) === 1;
  }, 'each engine has one');
});

test('an engine hangs, its connection stands: its request goes on, on the other one', async () => {
  const undisturbed = await ask(deployment.gateway, [{ says: [samplePicture('apple'), 'Hello!'] }], { text: long });
  // gRPC itself would notice after 40 s; the deadline ends what waits for that.
  using chat = new RawChat(deployment.gateway, { timeoutMs: 35_000 });
  const value = question('Hello!', ['a'], { text: long });
  chat.send({ $case: 'start', value }).media('a', samplePicture('apple')).close();
  await chat.event('textDelta');
  const onSecond = (await running(secondReady.metrics)) === 1;
  const pid = onSecond ? secondReady.pid : deployment.pid('llm');
  process.kill(pid, 'SIGSTOP');
  try {
    expect(await chat.ended).toMatchObject({ status: 'OK' });
    expect(chat.text).toBe(undisturbed.text);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await eventually(async () => (await deployment.metric('gateway', 'tessera_gateway_engines')) === 2, 'it is back');
  await answersRight(deployment.gateway);
  await atRest(deployment);
});

test('an engine dies: its request goes on where it was, on the other one', async () => {
  const undisturbed = await ask(deployment.gateway, [{ says: [samplePicture('apple'), 'Hello!'] }], { text: long });
  using chat = new RawChat(deployment.gateway);
  const value = question('Hello!', ['a'], { text: long });
  chat.send({ $case: 'start', value }).media('a', samplePicture('apple')).close();
  await chat.event('textDelta');
  const onSecond = (await running(secondReady.metrics)) === 1;
  const pid = deployment.pid('llm');
  // Both say that they are there; only one of them has the request.
  if (onSecond) process.kill(secondReady.pid, 'SIGKILL');
  else signal(deployment, 'llm', 'SIGKILL');
  expect(await chat.ended).toMatchObject({ status: 'OK' });
  expect(chat.text).toBe(undisturbed.text);
  if (!onSecond) await awaitRestart(deployment, 'llm', pid);
  await answersRight(deployment.gateway);
  await atRest(deployment);
});
