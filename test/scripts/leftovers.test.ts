import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { eventually } from '@tessera/testing/async/eventually';
import { isAlive } from '@tessera/testing/processes/is-alive';
import { root } from '@tessera/testing/repository';
import { afterEach, beforeEach, expect, test } from 'vitest';
// @ts-expect-error The scripts have no types.
import * as leftovers from '../../scripts/leftovers.mjs';

interface Leftovers {
  processesOf(folder: string): { pid: number; command: string }[];
  endProcessesOf(folder: string, patienceMs: number): Promise<{ pid: number; command: string }[]>;
  removeAbandonedFolders(parent: string): void;
}

const { endProcessesOf, processesOf, removeAbandonedFolders }: Leftovers = leftovers;

const children: ChildProcess[] = [];
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-leftovers-'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** A process that would run for ever, with the folder as its place for temporary files. */
function forever(...flags: string[]): ChildProcess {
  const child = spawn(process.execPath, [...flags, '--eval', 'setInterval(() => {}, 1000)'], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: { ...process.env, TMPDIR: folder },
  });
  children.push(child);
  return child;
}

// Only Linux shows the environment of processes in files.
test.skipIf(process.platform !== 'linux')('a process that a run leaves is found, named and ended', async () => {
  const { pid = 0 } = forever();
  await eventually(() => processesOf(folder).length === 1, 'it is found');
  const ended = await endProcessesOf(folder, 0);
  expect(ended).toEqual([{ pid, command: expect.stringContaining('setInterval') }]);
  await eventually(() => processesOf(folder).length === 0, 'it has ended');
  expect(await endProcessesOf(folder, 0)).toEqual([]);
});

test('the folder of a run that was killed is removed by the next one, that of a run under way is not', async () => {
  const gone = forever();
  const exited = new Promise((resolve) => gone.once('exit', resolve));
  gone.kill('SIGKILL');
  await exited;
  const [dead, alive, other] = [`tessera-test-${gone.pid}-abc123`, `tessera-test-${process.pid}-abc123`, 'tessera-x'];
  for (const name of [dead, alive, other]) mkdirSync(join(folder, name));
  removeAbandonedFolders(folder);
  expect([dead, alive, other].map((name) => existsSync(join(folder, name)))).toEqual([false, true, true]);
});

test('a process with the guard against it ends with its parent', async () => {
  const guard = pathToFileURL(join(root, 'scripts/exit-with-parent.mjs')).href;
  const child = forever('--import', guard);
  const pid = child.pid ?? 0;
  expect(isAlive(pid)).toBe(true);
  child.disconnect();
  await new Promise((resolve) => child.once('exit', resolve));
  expect(isAlive(pid)).toBe(false);
});
