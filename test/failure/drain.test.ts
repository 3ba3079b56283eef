import type { ServiceName } from '@tessera/cli';
import { eventually } from '@tessera/testing/async/eventually';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answersRight, atRest } from '../support/at-rest.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { awaitRestart, signal } from '../support/processes.js';
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

const long = { temperature: 10, seed: 4n, maxTokens: 200 };

/** The exit statuses that the stack has seen of a service. */
function statuses(service: ServiceName): string[] {
  const prefix = `${service} ended with status `;
  return deployment.logs.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length));
}

test.each<ServiceName>(['encoder', 'connector', 'generator', 'llm'])(
  'the %s is told to end while requests run: it exits with 0, and nothing is lost',
  async (service) => {
    const pid = deployment.pid(service);
    using writing = new RawChat(deployment.gateway);
    writing.send({ $case: 'start', value: question('Hello!', [], { text: long, draw: { steps: 2 } }) }).close();
    using drawing = new RawChat(deployment.gateway);
    drawing.ask('Draw a red apple on a blue background.', [], { draw: { steps: 60 } }).close();
    await Promise.all([writing.event('textDelta'), drawing.event('mediaProgress')]);
    using looking = new RawChat(deployment.gateway);
    looking.ask('What is this?', ['a']).media('a', samplePicture('apple')).close();
    await looking.event('stateChanged');
    signal(deployment, service, 'SIGTERM');

    expect(await writing.ended).toMatchObject({ status: 'OK' });
    expect(await drawing.ended).toMatchObject({ status: 'OK' });
    expect(await looking.ended).toEqual({ status: 'OK', message: expect.anything() });
    expect(looking.text).toBe('This is a red apple.');
    expect((await writing.event('finished')).usage?.outputTokens).toBe(long.maxTokens);
    expect((await drawing.event('finished')).usage?.outputMedia).toBe(1);

    await eventually(() => statuses(service).length === 1, `${service} has ended`);
    expect(statuses(service)).toEqual(['0']);
    await awaitRestart(deployment, service, pid);
    await answersRight(deployment.gateway);
    await atRest(deployment);
  },
);

test('the gateway is told to end while requests run: it finishes them, refuses new ones, exits with 0', async () => {
  const { gateway } = deployment;
  const pid = deployment.pid('gateway');
  using writing = new RawChat(gateway);
  writing.send({ $case: 'start', value: question('Hello!', [], { text: long, draw: { steps: 2 } }) }).close();
  // Its media come when the test says so: the drain is not over before, however slow or fast the machine is.
  using showing = new RawChat(gateway);
  showing.ask('What is this?', ['a']);
  await Promise.all([writing.event('textDelta'), showing.event('accepted')]);
  // It has come, and says what it wants when the drain has begun.
  using beginning = new RawChat(gateway);
  const open = () => deployment.metric('gateway', 'tessera_grpc_requests_running', { method: 'Chat' });
  await eventually(async () => (await open()) === 3, 'three calls are open');
  signal(deployment, 'gateway', 'SIGTERM');
  // It waits for its media, and hears of the drain all the same.
  await Promise.all([writing.event('drain'), showing.event('drain')]);
  beginning.ask('Hello!').close();
  expect(await beginning.ended).toMatchObject({ status: 'OK' });
  expect(beginning.events.slice(0, 2).map(({ $case }) => $case)).toEqual(['accepted', 'drain']);
  using late = new RawChat(gateway);
  expect(await late.ask('Hello!').close().ended).toMatchObject({ status: 'UNAVAILABLE' });
  showing.media('a', samplePicture('apple')).close();
  expect(await showing.ended).toMatchObject({ status: 'OK' });
  expect(await writing.ended).toMatchObject({ status: 'OK' });
  expect((await writing.event('finished')).usage?.outputTokens).toBe(long.maxTokens);
  await eventually(() => statuses('gateway').length === 1, 'the gateway has ended');
  expect(statuses('gateway')).toEqual(['0']);
  await awaitRestart(deployment, 'gateway', pid);
  await answersRight(deployment.stack.address('gateway')?.grpc ?? '');
  await atRest(deployment);
});

test('the gateway dies: its clients are told, and the stages let go of what it had', async () => {
  const pid = deployment.pid('gateway');
  const address = deployment.stack.address('gateway')?.grpc ?? '';
  using writing = new RawChat(address);
  writing.send({ $case: 'start', value: question('Hello!', [], { text: { ...long, maxTokens: 1900 } }) }).close();
  await writing.event('textDelta');
  signal(deployment, 'gateway', 'SIGKILL');
  expect(await writing.ended).toMatchObject({ status: 'UNAVAILABLE' });
  await awaitRestart(deployment, 'gateway', pid);
  await eventually(
    async () => (await deployment.metric('llm', 'tessera_requests_running')) === 0,
    'the engine is free',
  );
  await answersRight(deployment.stack.address('gateway')?.grpc ?? '');
});

test('everything stops at once: every service drains and exits with 0', async () => {
  const address = deployment.stack.address('gateway')?.grpc ?? '';
  using writing = new RawChat(address);
  writing.send({ $case: 'start', value: question('Hello!', [], { text: long, draw: { steps: 2 } }) }).close();
  using drawing = new RawChat(address);
  drawing.ask('Draw a red apple on a blue background.', [], { draw: { steps: 60 } }).close();
  await Promise.all([writing.event('textDelta'), drawing.event('textDelta')]);
  const ended = await deployment.stop();
  expect(await writing.ended).toMatchObject({ status: 'OK' });
  expect(await drawing.ended).toMatchObject({ status: 'OK' });
  expect(Object.fromEntries(ended)).toEqual({ encoder: 0, connector: 0, llm: 0, generator: 0, gateway: 0 });
});
