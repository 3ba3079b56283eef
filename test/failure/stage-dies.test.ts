import type { ServiceName } from '@tessera/cli';
import type { JobKind } from '@tessera/protocol';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask } from '../support/ask.js';
import { answersRight, atRest } from '../support/at-rest.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { awaitRestart, jobsUndone, killAndAwaitRestart, signal } from '../support/processes.js';
import { RawChat } from '../support/raw-chat.js';

let deployment: Deployment;
beforeAll(async () => {
  // Missing visual tokens are asked for again soon, so that the tests do not wait for what they do not test.
  deployment = await deploy({
    flags: { llm: ['--engine-tile-timeout-ms', '1500'] },
  });
});
afterAll(async () => {
  await deployment?.stop();
});

test.each<[ServiceName, JobKind]>([
  ['encoder', 'encode'],
  ['connector', 'connect'],
])('the %s dies with jobs in hand: their requests are answered all the same, each tile once', async (service, kind) => {
  const pid = deployment.pid(service);
  // Stopped, it takes jobs and does nothing with them: what it has when it is killed is surely not done.
  signal(deployment, service, 'SIGSTOP');
  using first = new RawChat(deployment.gateway);
  using second = new RawChat(deployment.gateway);
  first.ask('What is this?', ['a']).media('a', samplePicture('apple')).close();
  second.ask('What is in the picture?', ['a']).media('a', samplePicture('cat')).close();
  await jobsUndone(deployment, kind, 2);
  signal(deployment, service, 'SIGKILL');
  await awaitRestart(deployment, service, pid);
  expect(await first.ended).toMatchObject({ status: 'OK' });
  expect(await second.ended).toMatchObject({ status: 'OK' });
  expect([first.text, second.text]).toEqual(['This is a red apple.', 'This is a cat.']);
  for (const chat of [first, second]) {
    expect(chat.events.filter(({ $case }) => $case === 'segmentArrived')).toHaveLength(1);
  }
  await answersRight(deployment.gateway);
  await atRest(deployment);
});

test('the generator dies in the midst of a drawing: the same picture comes, each part once', async () => {
  const request = 'Draw a red apple on a blue background.';
  const drawing = { seed: 7n, steps: 60 };
  const undisturbed = await ask(deployment.gateway, [{ says: [request] }], { draw: drawing });

  using chat = new RawChat(deployment.gateway);
  chat.ask(request, [], { draw: drawing }).close();
  await chat.event('mediaProgress');
  await killAndAwaitRestart(deployment, 'generator');
  expect(await chat.ended).toMatchObject({ status: 'OK' });

  expect(chat.text).toBe(undisturbed.text);
  const parts = chat.events.flatMap((event) => (event.$case === 'mediaPart' ? [event.value] : []));
  expect(parts.filter(({ last }) => last)).toHaveLength(1);
  const picture = Buffer.concat(parts.map(({ data }) => data));
  expect(Buffer.compare(picture, undisturbed.pictures[0]?.bytes ?? Buffer.alloc(0))).toBe(0);
  const steps = chat.events.flatMap((event) => (event.$case === 'mediaProgress' ? [event.value.step] : []));
  expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
  await atRest(deployment);
});
