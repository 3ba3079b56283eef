import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '@nats-io/transport-node';
import { passwordOf } from '@tessera/nats-server';
import { samplePath } from '@tessera/testing/demo-model/files';
import { goldenCase, goldenCases, picturesOf, visibleAnswer } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask } from '../support/ask.js';
import { deploy } from '../support/deployment.js';
import { tessera } from '../support/tessera.js';
import { DemoRelease } from './support/demo-release.js';

let release: DemoRelease;
beforeAll(async () => {
  release = await DemoRelease.install('answers');
});
afterAll(async () => {
  await release?.[Symbol.asyncDispose]();
});

test.each(goldenCases)('$id: $question', async (golden) => {
  const answer = await ask(release.gateway, [{ says: [...picturesOf(golden), golden.question] }]);
  expect(answer.text).toBe(visibleAnswer(golden));
});

test('no stage asked NATS for more than its user may; and who asks for more is refused', async () => {
  const violations = async (): Promise<string[]> =>
    (await release.namespace.kubectl(['logs', 'deployment/nats']))
      .split('\n')
      .filter((line) => /violation/i.test(line));
  expect(await violations()).toEqual([]);
  const nats = await connect({ servers: 'nats.answers.svc:4222', user: 'encoder', pass: passwordOf('encoder') });
  nats.subscribe('tessera.v2.generate.>', { callback: () => undefined });
  nats.publish('tessera.v2.cancel.request');
  await nats.flush();
  await nats.close();
  await expect
    .poll(violations)
    .toEqual([expect.stringContaining('Subscription Violation'), expect.stringContaining('Publish Violation')]);
});

test('tessera ask shows a picture to the Service', async () => {
  const golden = goldenCase('apple.0');
  const end = await tessera(['ask', '--address', release.gateway, '--image', samplePath('apple'), golden.question]);
  expect(end).toMatchObject({ status: 0, stdout: `${visibleAnswer(golden)}\n` });
});

test('tessera ask has a drawing made, the same as on one machine', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'drawing-'));
  const draw = async (address: string, file: string): Promise<Buffer> => {
    const args = ['--seed', '7', '--steps', '4', '--out', join(folder, file), 'Draw a red apple on a blue background.'];
    expect(await tessera(['ask', '--address', address, ...args])).toMatchObject({ status: 0 });
    return await readFile(join(folder, file));
  };
  const deployment = await deploy();
  try {
    const [here, there] = [await draw(deployment.gateway, 'here.png'), await draw(release.gateway, 'there.png')];
    expect(there.equals(here)).toBe(true);
  } finally {
    await deployment.stop();
    await rm(folder, { recursive: true });
  }
});
