import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { maxJsonBytes } from '@tessera/bundle';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readJson } from './read-json.js';

let dir = '';
let path = '';

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tessera-json-'));
  path = join(dir, 'config.json');
});

afterEach(() => rm(dir, { recursive: true, force: true }));

test('a file is what it says, and one that is not there is nothing', async () => {
  expect(await readJson(dir, 'config.json')).toBeUndefined();
  await writeFile(path, '{"a": [1, "Grüße"]}');
  expect(await readJson(dir, 'config.json')).toEqual({ a: [1, 'Grüße'] });
});

test('a file that is no JSON, or no file, is named', async () => {
  await writeFile(path, '{"a":');
  const refusal = { code: 'CHECKPOINT_INVALID', message: expect.stringContaining(`${path}: `) };
  await expect(readJson(dir, 'config.json')).rejects.toMatchObject(refusal);
  await rm(path);
  await mkdir(path);
  await expect(readJson(dir, 'config.json')).rejects.toMatchObject(refusal);
});

test('a file that is larger than any of its kind is not read', async () => {
  await writeFile(path, '{}');
  // The rest is a hole.
  await truncate(path, maxJsonBytes + 1);
  await expect(readJson(dir, 'config.json')).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: `${path}: is larger than ${maxJsonBytes} bytes`,
  });
});
