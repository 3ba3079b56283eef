import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@tessera/testing/async/eventually';
import { bundleCacheDir, demoModelDir } from '@tessera/testing/demo-model/files';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTessera, tessera } from '../support/tessera.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-fails-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

test('up with a NATS that is not there ends with status 3 and says where it looked', async () => {
  const end = await tessera(['up', '--port', '0', '--cache', bundleCacheDir, '--nats-url', 'nats://127.0.0.1:1']);
  expect(end.status).toBe(3);
  expect(end.stderr).toContain('NATS at nats://127.0.0.1:1 cannot be reached');
});

test('up with a model that is not there ends with status 1, and leaves nothing', async () => {
  const model = join(folder, 'no-such-model');
  const end = await tessera(['up', '--port', '0', '--model', model, '--cache', join(folder, 'cache')], {
    TMPDIR: folder,
  });
  expect(end.status).toBe(1);
  expect(end.stderr).toContain(model);
  expect(end.stderr).toContain('CHECKPOINT_INVALID');
  expect(readdirSync(folder).filter((name) => name !== 'cache')).toEqual([]);
});

test('Ctrl-C during compile ends it with 130 and leaves no half of a bundle', async () => {
  const compiling = startTessera(['compile', demoModelDir, '--out', join(folder, 'bundle'), '--weights', 'int8']);
  await eventually(() => readdirSync(folder).length > 0, 'it has begun');
  compiling.process.kill('SIGINT');
  const { status } = await compiling.ended;
  expect(status).toBe(130);
  expect(readdirSync(folder)).toEqual([]);
});
