import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoModelDir, samplePath } from '@tessera/testing/demo-model/files';
import { isAlive } from '@tessera/testing/processes/is-alive';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tessera, tesseraUp, type Up } from '../support/tessera.js';

const apple = samplePath('apple');
let folder: string;
let up: Up;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-up-'));
  up = await tesseraUp();
});
afterAll(async () => {
  up?.process.kill('SIGTERM');
  await up?.ended;
  rmSync(folder, { recursive: true, force: true });
});

test('ask streams the answer to stdout and the time line to stderr', async () => {
  const end = await tessera(['ask', 'What is this?', '--image', apple, '--timeline', '--address', up.gateway]);
  expect(end.status).toBe(0);
  expect(end.stdout).toBe('This is a red apple.\n');
  expect(end.stderr).toMatch(/encoder +encode/);
});

test('the address may come from the environment, and --json gives one document', async () => {
  const end = await tessera(['ask', '这是什么？', '--image', apple, '--json', '--seed', '5'], {
    TESSERA_ADDRESS: up.gateway,
  });
  expect(end.status).toBe(0);
  expect(JSON.parse(end.stdout)).toMatchObject({ text: '这是红苹果。', seed: '5', model: 'demo', pictures: [] });
});

test('several choices come one after the other, and --json has them all', async () => {
  const args = ['ask', 'What is this?', '--image', apple, '--choices', '2', '--address', up.gateway];
  const end = await tessera([...args, '--timeline']);
  expect(end).toMatchObject({ status: 0, stdout: 'This is a red apple.\nThis is a red apple.\n' });
  expect(end.stderr).toMatch(/choice 0:.*choice 1:/s);
  expect(end.stderr).toMatch(/decode #1/);
  const told = { text: 'This is a red apple.', finishReason: 'end', pictures: [] };
  expect(JSON.parse((await tessera([...args, '--json'])).stdout)).toMatchObject({ ...told, choices: [told, told] });
});

test('draw saves a PNG of each choice', async () => {
  const out = join(folder, 'some.png');
  const request = ['draw', 'Draw a red apple on a blue background.', '--out', out, '--steps', '1', '--seed', '7'];
  const end = await tessera([...request, '--choices', '2', '--json', '--address', up.gateway]);
  const other = join(folder, 'some-2.png');
  expect(JSON.parse(end.stdout).choices).toMatchObject([{ pictures: [out] }, { pictures: [other] }]);
  expect(readFileSync(out).equals(readFileSync(other))).toBe(false);
});

test('draw saves a PNG', async () => {
  const out = join(folder, 'apple.png');
  const args = ['draw', 'Draw a red apple on a blue background.', '--out', out, '--seed', '7', '--steps', '3'];
  const end = await tessera([...args, '--address', up.gateway]);
  expect(end.status).toBe(0);
  expect((await sharp(readFileSync(out)).metadata()).format).toBe('png');
});

test('draw fails when the answer holds no drawing, and writes no file', async () => {
  const out = join(folder, 'nothing.png');
  const end = await tessera(['draw', 'Hello!', '--out', out, '--address', up.gateway]);
  expect(end.status).toBe(1);
  expect(end.stderr).toContain('without drawing');
  expect(existsSync(out)).toBe(false);
});

test('what the server refuses ends with its code and what to do', async () => {
  const end = await tessera([
    'ask',
    'What is this?',
    '--image',
    join(demoModelDir, 'config.json'),
    '--address',
    up.gateway,
  ]);
  expect(end.status).toBe(2);
  expect(end.stderr).toContain('MEDIA_NOT_RECOGNISED');
  expect(end.stderr).toContain('Send JPEG');
});

test('a second one runs beside it; Ctrl-C drains it and leaves no process', async () => {
  const second = await tesseraUp(['--weights', 'int8']);
  const end = await tessera(['ask', 'What is this?', '--image', apple, '--address', second.gateway]);
  expect(end.stdout).toBe('This is a red apple.\n');
  expect(second.pids).toHaveLength(6);
  second.process.kill('SIGINT');
  expect(await second.ended).toBe(0);
  expect(second.pids.filter(isAlive)).toEqual([]);
  expect(up.pids.every(isAlive)).toBe(true);
});
