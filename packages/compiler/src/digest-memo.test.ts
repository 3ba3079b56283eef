import { mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fileDigest } from './content-digest.js';
import { DigestMemo } from './digest-memo.js';

let dir = '';
let path = '';
let memoPath = '';
/** A digest that no file has: where it is told, the memo was believed. */
const remembered = '0'.repeat(64);

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tessera-memo-'));
  path = join(dir, 'weights');
  memoPath = join(dir, 'digests.json');
  await writeFile(path, 'weights');
});

afterEach(() => rm(dir, { recursive: true, force: true }));

const memoOf = (entries: object): Promise<void> => writeFile(memoPath, JSON.stringify(entries));

async function entryNow(): Promise<{ bytes: number; modifiedMs: number; sha256: string }> {
  const { size, mtimeMs } = await stat(path);
  return { bytes: size, modifiedMs: mtimeMs, sha256: remembered };
}

test('a file of the same size and time is not read again', async () => {
  await memoOf({ [path]: await entryNow() });
  let reads = 0;
  const before = async (): Promise<void> => void reads++;
  expect(await (await DigestMemo.open(memoPath)).digest(path, undefined, before)).toBe(remembered);
  expect(reads).toBe(0);
});

test.each<[string, () => Promise<unknown>]>([
  ['of another size', async () => memoOf({ [path]: { ...(await entryNow()), bytes: 8 } })],
  ['changed at another time', async () => utimes(path, new Date(), new Date(Date.now() + 5000))],
  ['that is not in it', () => memoOf({})],
  ['of a memo that is damaged', () => memoOf({ [path]: { bytes: 7 } })],
  [
    'of a memo that grew beyond all use',
    async () => {
      const entry = await entryNow();
      const others = Array.from({ length: 10_000 }, (_, at) => [`${path}${at}`, entry]);
      await memoOf({ ...Object.fromEntries(others), [path]: entry });
    },
  ],
])('a file %s is read', async (_, change) => {
  await memoOf({ [path]: await entryNow() });
  await change();
  const memo = await DigestMemo.open(memoPath);
  let reads = 0;
  const before = async (): Promise<void> => void reads++;
  expect(await memo.digest(path, undefined, before)).toBe(await fileDigest(path));
  expect(reads).toBe(1);
  await memo.save();
  expect(Object.keys(JSON.parse(await readFile(memoPath, 'utf8')))).toEqual([path]);
});

test('a memo that learned nothing is not written', async () => {
  const memo = await DigestMemo.open(memoPath);
  await memo.save();
  expect(await stat(memoPath).catch(() => undefined)).toBeUndefined();
});
