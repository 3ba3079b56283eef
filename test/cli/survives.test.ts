import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@tessera/testing/async/eventually';
import { samplePath } from '@tessera/testing/demo-model/files';
import { isAlive } from '@tessera/testing/processes/is-alive';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { question, RawChat } from '../support/raw-chat.js';
import { tessera, tesseraUp, type Up } from '../support/tessera.js';

const apple = samplePath('apple');
let up: Up | undefined;
/** The command line's temporary folder, so that what it leaves there can be told from what others do. */
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-survives-'));
});
afterEach(async () => {
  up?.process.kill('SIGTERM');
  await up?.ended;
  // Whatever a test that failed has left.
  for (const { pid } of up?.processes ?? []) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  up = undefined;
  rmSync(folder, { recursive: true, force: true });
});

function newest({ processes }: Up, service: string): number {
  const pid = processes.filter((one) => one.service === service).at(-1)?.pid;
  if (pid === undefined) throw new Error(`${service} is not up`);
  return pid;
}

test('nats-server and a stage that die together are started again, NATS on its port, and answers go on', async () => {
  up = await tesseraUp([], { env: { TMPDIR: folder } });
  const { processes } = up;
  const before = processes.length;
  const first = processes.find(({ service }) => service === 'nats');
  process.kill(newest(up, 'nats'), 'SIGKILL');
  process.kill(newest(up, 'encoder'), 'SIGKILL');
  await eventually(() => processes.length === before + 2, 'both are there again');
  expect(processes.filter(({ service }) => service === 'nats').at(-1)?.address).toBe(first?.address);
  const end = await tessera(['ask', 'What is this?', '--image', apple, '--address', up.gateway]);
  expect(end.stdout).toBe('This is a red apple.\n');
  up.process.kill('SIGTERM');
  expect(await up.ended).toBe(0);
  expect(readdirSync(folder)).toEqual([]);
});

test('up that is killed leaves neither a service nor nats-server nor a file', async () => {
  up = await tesseraUp([], { env: { TMPDIR: folder } });
  up.process.kill('SIGKILL');
  await up.ended;
  const { pids } = up;
  await eventually(() => pids.filter(isAlive).length === 0, 'every process is gone');
  await eventually(() => readdirSync(folder).length === 0, 'the folder of NATS is gone');
});

test('up that is killed leaves NATS to its services until they have drained', async () => {
  up = await tesseraUp([], { env: { TMPDIR: folder } });
  using chat = new RawChat(up.gateway);
  // A seed whose answer is long and holds no drawing.
  const text = { temperature: 10, seed: 5n, maxTokens: 400 };
  chat.send({ $case: 'start', value: question('Hello!', [], { text }) }).close();
  await chat.event('textDelta');
  up.process.kill('SIGKILL');
  expect(await chat.ended).toMatchObject({ status: 'OK' });
  expect((await chat.event('finished')).usage?.outputTokens).toBe(text.maxTokens);
  const { pids } = up;
  await eventually(() => pids.filter(isAlive).length === 0, 'every process is gone');
});

test('up whose output nobody reads any more drains and ends', async () => {
  up = await tesseraUp([], { env: { TMPDIR: folder } });
  up.process.stdout?.destroy();
  process.kill(newest(up, 'encoder'), 'SIGKILL');
  expect(await up.ended).toBe(0);
  expect(up.pids.filter(isAlive)).toEqual([]);
  expect(readdirSync(folder)).toEqual([]);
});
