import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { captureOutput } from './capture-output.js';
import { isAlive } from './is-alive.js';
import { runCommand } from './run-command.js';

let folder: string;
beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'tessera-commands-')));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a command ends with its status and all that it wrote, in its folder and with its variables', async () => {
  const script =
    'console.log(process.cwd() + process.env.WORD); console.error("é".repeat(100_000)); process.exitCode = 3';
  const end = await runCommand(process.execPath, ['-e', script], { cwd: folder, env: { WORD: '!' } });
  expect(end).toEqual({ status: 3, stdout: `${folder}!\n`, stderr: `${'é'.repeat(100_000)}\n` });
});

test('a command that there is not says so', async () => {
  expect(await runCommand(join(folder, 'nothing'), [])).toMatchObject({
    status: null,
    stderr: expect.stringContaining('ENOENT'),
  });
});

test('a process that is let go of is followed to its end, and is alive until then', async () => {
  const program = join(folder, 'program.mjs');
  writeFileSync(program, `process.send('up'); process.on('disconnect', () => console.log('alone'));`);
  const child = fork(program, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  const { ended, stderr } = captureOutput(child);
  await once(child, 'message');
  expect(isAlive(child.pid ?? 0)).toBe(true);
  child.disconnect();
  expect(await ended).toEqual({ status: 0, stdout: 'alone\n', stderr: '' });
  expect(stderr()).toBe('');
  expect(isAlive(child.pid ?? 0)).toBe(false);
});

test('a process that a signal ends has no status', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  const { ended } = captureOutput(child);
  child.kill('SIGKILL');
  expect(await ended).toMatchObject({ status: null });
});
