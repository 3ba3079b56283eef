import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import type { TesseraError } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PlacementFile } from './placement-file.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tessera-placement-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** As the kubelet writes the volume of a ConfigMap: a new folder each time, and one link that is replaced by another. */
async function update(version: number, content: string): Promise<void> {
  const dir = `..version_${version}`;
  await mkdir(join(folder, dir));
  await writeFile(join(folder, dir, 'placement.json'), content);
  await symlink(dir, join(folder, '..data_tmp'));
  await rename(join(folder, '..data_tmp'), join(folder, '..data'));
  if (version === 1) await symlink(join('..data', 'placement.json'), join(folder, 'placement.json'));
  else await rm(join(folder, `..version_${version - 1}`), { recursive: true });
}

test('a placement that a ConfigMap brings is taken up when the kubelet swaps its link', async () => {
  const bundle = await readBundle(await demoBundleDir('float32', 'experts'), ['llm']);
  const { revision } = bundle.manifest;
  const content = (epoch: number): string =>
    JSON.stringify({ revision, epoch, groups: { a: [{ layers: 'all', experts: 'all' }] } });
  await update(1, content(1));
  const file = new PlacementFile(join(folder, 'placement.json'), bundle);
  expect((await file.open()).epoch).toBe(1);

  const epochs: number[] = [];
  const refused: TesseraError[] = [];
  await using ending = { signal: new AbortController(), [Symbol.asyncDispose]: async () => ending.signal.abort() };
  const onNew = ({ epoch }: { epoch: number }) => epochs.push(epoch);
  file.follow({ onNew, onRefused: (error) => refused.push(error) }, ending.signal.signal);
  await update(2, content(2));
  await eventually(() => epochs.length === 1, 'the second one is taken up');
  await update(3, content(1));
  await eventually(() => refused.length === 1, 'an earlier one is refused');
  await update(4, content(5));
  await eventually(() => epochs.length === 2, 'and the next one is taken up');
  expect(epochs).toEqual([2, 5]);
  expect(refused[0]?.message).toContain('after 2 it must be higher');
});
