import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withFileLock } from './file-lock.js';
import { thisHost } from './host.js';

let dir: string;
let lock: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tessera-lock-'));
  lock = join(dir, 'work.lock');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const longAgo = new Date(Date.now() - 10 * 60_000);

test('callers of one process go one after the other, whatever they call the file', async () => {
  let inside = 0;
  const seen: number[] = [];
  const once = (path: string): Promise<void> =>
    withFileLock(path, undefined, async () => {
      seen.push(++inside);
      await new Promise((done) => setTimeout(done, 5));
      inside--;
    });
  await Promise.all([once(lock), once(`${dir}/./work.lock`), once(lock)]);
  expect(seen).toEqual([1, 1, 1]);
  expect(await readdir(dir)).toEqual([]);
});

test.each([
  // A container's process is always number 1, and its host's name the pod's, whichever start it is.
  ['of this process, which does not hold it', () => writeFile(lock, `${thisHost} ${process.pid}`)],
  [
    'of a living process that has long not said so, as one that got the id of the dead holder',
    async () => {
      await writeFile(lock, `${thisHost} ${process.ppid}`);
      await utimes(lock, longAgo, longAgo);
    },
  ],
  [
    'of another host that has long not said that it lives',
    async () => {
      await writeFile(lock, `${thisHost}x 1`);
      await utimes(lock, longAgo, longAgo);
    },
  ],
])('a lock %s is broken', async (_, leave) => {
  await leave();
  expect(await withFileLock(lock, undefined, () => Promise.resolve('done'))).toBe('done');
  expect(await readdir(dir)).toEqual([]);
});

test('a lock of a living process is waited for, and who waits is told for which', async () => {
  await writeFile(lock, `${thisHost} ${process.ppid}`);
  const told: string[][] = [];
  const result = await withFileLock(
    lock,
    undefined,
    () => Promise.resolve('done'),
    (path, holder) => {
      told.push([path, holder]);
      void rm(path);
    },
  );
  expect({ result, told }).toEqual({ result: 'done', told: [[lock, `process ${process.ppid}`]] });
});

test("a signal ends the waiting, and the lock stays its holder's", async () => {
  await writeFile(lock, `${thisHost} ${process.ppid}`);
  const controller = new AbortController();
  const waiting = withFileLock(lock, controller.signal, () => Promise.resolve());
  controller.abort();
  await expect(waiting).rejects.toThrow(/abort/i);
  expect(await readdir(dir)).toEqual(['work.lock']);
});
