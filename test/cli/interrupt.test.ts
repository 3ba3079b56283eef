import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@tessera/testing/async/eventually';
import { isAlive } from '@tessera/testing/processes/is-alive';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { question, RawChat } from '../support/raw-chat.js';
import { startTessera, tesseraUp, type Up } from '../support/tessera.js';

let up: Up | undefined;
/** The command line's temporary folder, so that what it leaves there can be told from what others do. */
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-interrupt-'));
});
afterEach(async () => {
  up?.process.kill('SIGTERM');
  await up?.ended;
  // Whatever a test that failed has left.
  for (const pid of up?.pids ?? []) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  up = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const long = { temperature: 10, seed: 4n, maxTokens: 200 };

test('Ctrl-C in a terminal, which every process of the group gets, drains: what runs is finished', async () => {
  up = await tesseraUp([], { asGroup: true, env: { TMPDIR: folder } });
  using chat = new RawChat(up.gateway);
  chat.send({ $case: 'start', value: question('Hello!', [], { text: long, draw: { steps: 2 } }) }).close();
  await chat.event('textDelta');
  process.kill(-(up.process.pid ?? 0), 'SIGINT');
  expect(await chat.ended).toMatchObject({ status: 'OK' });
  expect((await chat.event('finished')).usage?.outputTokens).toBe(long.maxTokens);
  expect(await up.ended).toBe(0);
  expect(up.pids.filter(isAlive)).toEqual([]);
  expect(readdirSync(folder)).toEqual([]);
});

test('a second Ctrl-C does not wait, and leaves no process either', async () => {
  up = await tesseraUp([], { asGroup: true, env: { TMPDIR: folder } });
  using chat = new RawChat(up.gateway);
  chat.send({ $case: 'start', value: question('Hello!', [], { text: { ...long, maxTokens: 1900 } }) });
  await chat.event('textDelta');
  process.kill(-(up.process.pid ?? 0), 'SIGINT');
  await chat.event('drain');
  process.kill(-(up.process.pid ?? 0), 'SIGINT');
  expect(await up.ended).toBe(130);
  const { pids } = up;
  await eventually(() => pids.filter(isAlive).length === 0, 'every process is gone');
  expect(readdirSync(folder)).toEqual([]);
  expect(await chat.ended).toMatchObject({ status: 'UNAVAILABLE' });
});

test('Ctrl-C while it starts leaves no process', async () => {
  const starting = startTessera(['up', '--json', '--port', '0'], { TMPDIR: folder, XDG_CACHE_HOME: folder });
  await eventually(() => starting.stdout().includes('"nats"') || starting.process.exitCode !== null, 'NATS is up');
  starting.process.kill('SIGINT');
  const { stdout, status } = await starting.ended;
  expect([0, 130]).toContain(status);
  const pids = stdout.split('\n').flatMap((line) => (line === '' ? [] : [(JSON.parse(line) as { pid?: number }).pid]));
  expect(pids.filter((pid) => pid !== undefined && isAlive(pid))).toEqual([]);
  expect(readdirSync(folder)).toEqual(['tessera']);
});

test('Ctrl-C during ask ends it with 130, and the server is free again', async () => {
  up = await tesseraUp();
  const asking = startTessera(['ask', 'Hello!', '--temperature', '10', '--seed', '4', '--max-tokens', '1900'], {
    TESSERA_ADDRESS: up.gateway,
  });
  await eventually(() => asking.stdout().length > 0, 'text comes');
  asking.process.kill('SIGINT');
  const end = await asking.ended;
  expect(end.status).toBe(130);
  expect(end.stderr).toContain('CANCELLED');
});

test('a service that was killed is started again, and told of', async () => {
  up = await tesseraUp();
  const [, victim] = up.pids;
  if (victim === undefined) throw new Error('no service');
  const known = up.pids.length;
  process.kill(victim, 'SIGKILL');
  const { pids } = up;
  await eventually(() => pids.length === known + 1, 'its successor is there');
  const end = await startTessera(['ask', 'Hello!', '--address', up.gateway]).ended;
  expect(end.stdout).toBe('Hello! Show me a picture, or ask me to draw one.\n');
});
