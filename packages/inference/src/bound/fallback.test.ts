import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { arithmetic, writeTestGraph } from '../testing/test-graphs.js';
import { chooseBackend, createBoundSession } from './create-bound-session.js';

const cpu = { threads: 1, device: 'cpu' } as const;
const unavailable = async () => ({ missing: 'there is no such library' });

let folder: string;
let path: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-fallback-'));
  path = writeTestGraph(folder, 'arithmetic', arithmetic);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the C API is taken where it can be had', async () => {
  const session = await createBoundSession(path, cpu);
  expect(session).toMatchObject({ backend: 'native', fallbackReason: undefined });
  await session.close();
});

test('where it cannot, onnxruntime-node is taken, and the reason is told', async () => {
  const session = await chooseBackend(path, cpu, unavailable);
  expect(session).toMatchObject({ backend: 'node', fallbackReason: 'there is no such library' });
  await session.close();
});

test('who asks for the C API gets it or an error, and who asks for onnxruntime-node gets that without a reason', async () => {
  await expect(chooseBackend(path, { ...cpu, backend: 'native' }, unavailable)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('there is no such library'),
  });
  const session = await chooseBackend(path, { ...cpu, backend: 'node' }, unavailable);
  expect(session).toMatchObject({ backend: 'node', fallbackReason: undefined });
  await session.close();
});
