import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle, type StageName, stageNames } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { smallLlamaBundle } from '@tessera/compiler/testing/small-llama';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tessera } from '../support/tessera.js';

let folder: string;
let demo: string;
let next = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tessera-extract-'));
  demo = await demoBundleDir();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const newFolder = (): string => join(folder, String(next++));
const extract = (dir: string, stage: string, out: string, ...more: string[]) =>
  tessera(['bundle', 'extract', dir, '--stage', stage, '--out', out, ...more]);

test.each([...stageNames, 'gateway'])('what the %s reads is there, checked, and nothing else', async (stage) => {
  const out = newFolder();
  const { status, stdout } = await extract(demo, stage, out, '--json');
  expect(status).toBe(0);
  const whole = await readBundle(demo);
  const files = stage === 'gateway' ? [] : whole.filesOf(stage as StageName);
  expect((await readdir(out)).toSorted()).toEqual([...files, 'bundle.json'].toSorted());
  for (const file of [...files, 'bundle.json']) {
    expect((await readFile(join(out, file))).equals(await readFile(join(demo, file))), file).toBe(true);
  }
  await readBundle(out, stage === 'gateway' ? [] : [stage as StageName]);
  expect(JSON.parse(stdout)).toMatchObject({ bundle: out, stage, revision: whole.manifest.revision, kept: [] });
});

test('a piece of a model that is cut by layers is what its layer shard holds', async () => {
  const whole = await smallLlamaBundle('layers=2');
  const out = newFolder();
  expect((await extract(whole.dir, 'llm', out, '--piece', '1')).status).toBe(0);
  expect((await readdir(out)).toSorted()).toEqual([...whole.filesOfLayers(1), 'bundle.json'].toSorted());
});

test('a run that was killed is gone on with: what is whole stays, what is not is brought anew', async () => {
  const out = newFolder();
  await mkdir(out);
  const files = (await readBundle(demo)).filesOf('llm');
  // As it is after a kill: one file whole, one half, one with its name but not its size; no manifest.
  const [whole, half, short] = files.toSorted() as [string, string, string];
  await cp(join(demo, whole), join(out, whole));
  const { mtimeMs } = await stat(join(out, whole));
  await writeFile(join(out, `${half}.partial`), 'x');
  await writeFile(join(out, short), 'x');
  const { status, stdout } = await extract(demo, 'llm', out, '--json');
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ kept: [whole] });
  expect((await stat(join(out, whole))).mtimeMs).toBe(mtimeMs);
  expect((await readdir(out)).toSorted()).toEqual([...files, 'bundle.json'].toSorted());
  const bundle = await readBundle(out, ['llm']);
  for (const file of files)
    expect((await readFile(bundle.file(file))).equals(await readFile(join(demo, file)))).toBe(true);
  const again = JSON.parse((await extract(demo, 'llm', out, '--json')).stdout) as { kept: string[] };
  expect(again.kept.toSorted()).toEqual(files.toSorted());
});

test('a volume of its own is taken as it is mounted; a folder of something else is left alone', async () => {
  const volume = newFolder();
  await mkdir(join(volume, 'lost+found'), { recursive: true });
  expect((await extract(demo, 'connector', volume)).status).toBe(0);
  const other = newFolder();
  await mkdir(other);
  await writeFile(join(other, 'notes.txt'), 'mine');
  const refused = await extract(demo, 'connector', other);
  expect(refused.status).toBe(2);
  expect(refused.stderr).toContain('notes.txt');
  expect(await readdir(other)).toEqual(['notes.txt']);
});

test('a part of another revision is not written over', async () => {
  const out = newFolder();
  expect((await extract(demo, 'gateway', out)).status).toBe(0);
  const { dir, manifest } = await smallLlamaBundle('layers=2');
  const refused = await extract(dir, 'gateway', out);
  expect(refused.status).toBe(2);
  expect(refused.stderr).toContain(manifest.revision);
});

test('a file with other contents than were compiled does not get its name', async () => {
  const [broken, out] = [newFolder(), newFolder()];
  await cp(demo, broken, { recursive: true });
  const bundle = await readBundle(broken);
  const path = bundle.file(bundle.stage('connector').graph);
  const bytes = await readFile(path);
  bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
  await writeFile(path, bytes);
  const { status, stderr } = await extract(broken, 'connector', out);
  expect(status).toBe(1);
  expect(stderr).toContain(path);
  const left = await readdir(out);
  expect(left).not.toContain(bundle.stage('connector').graph);
  expect(left).not.toContain('bundle.json');
});

test.each([
  ['a stage that the model lacks', (dir: string) => extract(dir, 'encoder', newFolder()), 'has no encoder'],
  ['a piece that there is not', (dir: string) => extract(dir, 'llm', newFolder(), '--piece', '7'), 'piece 7'],
  ['a piece of what has none', (dir: string) => extract(dir, 'gateway', newFolder(), '--piece', '1'), 'no pieces'],
  ['the bundle itself', (dir: string) => extract(dir, 'llm', dir), 'another folder'],
  ['a folder without a bundle', () => extract(folder, 'llm', newFolder()), 'bundle.json'],
])('%s is a sentence', async (_, act, words) => {
  const { dir } = await smallLlamaBundle('layers=2');
  const { status, stderr } = await act(dir);
  expect(status).not.toBe(0);
  expect(stderr).toContain(words);
});
