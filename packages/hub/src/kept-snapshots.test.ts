import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@tessera/testing/async/eventually';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseModelId } from './model-id.js';
import { type PullOptions, pullModel } from './pull-model.js';
import type { PulledModel } from './pulled-model.js';
import { HubServer } from './testing/hub-server.js';

const repository = 'acme/small-model';
const wanted = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', 'templates/*.jinja'];

function bytesOf(seed: number, length: number): Buffer {
  const random = seededRandom(seed);
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}

const weights = bytesOf(1, 20_000);
const files = {
  'config.json': Buffer.from('{"model_type":"llama"}'),
  'tokenizer.json': Buffer.from('{}'),
  'chat_template.jinja': Buffer.from('{{ messages }}'),
  'templates/tool_use.jinja': Buffer.from('{{ tools }}'),
  'templates/README.md': Buffer.from('# Templates'),
  'model.safetensors': weights,
};
const ggufs = { 'small-Q4_0.gguf': bytesOf(2, 2000), 'small-Q8_0.gguf': bytesOf(3, 2000) };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-pull-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Pulling extends Partial<PullOptions> {
  readonly id?: string;
  readonly offline?: boolean;
}

function pull(endpoint: string, { id = repository, offline = false, ...options }: Pulling = {}): Promise<PulledModel> {
  const parsed = parseModelId(id);
  if (parsed === undefined) throw new Error(`${id} is no id`);
  const surroundings = { endpoint, cacheDir: folder, offline, timeoutMs: 10_000 };
  return pullModel(parsed, { surroundings, wanted, retries: 0, ...options });
}

const nowhere = 'http://127.0.0.1:1';
const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex');
const repositoryDir = (): string => join(folder, 'models--acme--small-model');
const blob = (content: Buffer): string => join(repositoryDir(), 'blobs', sha256(content));
const mainRef = (): string => join(repositoryDir(), 'refs', 'main');

/** As another tool leaves a snapshot: with copies here, and without a listing. */
function leave(commit: string, names: readonly string[], of: Readonly<Record<string, Buffer>> = files): string {
  const snapshot = join(repositoryDir(), 'snapshots', commit);
  mkdirSync(join(snapshot, 'templates'), { recursive: true });
  mkdirSync(join(repositoryDir(), 'refs'), { recursive: true });
  for (const name of names) writeFileSync(join(snapshot, name), of[name] as Buffer);
  writeFileSync(mainRef(), commit);
  return snapshot;
}

test('which GGUF model an id means does not depend on what was pulled before', async () => {
  await using hub = await HubServer.start({ repository, files: ggufs });
  await pull(hub.endpoint, { id: `${repository}:Q4_0` });
  await expect(pull(nowhere, { offline: true })).rejects.toMatchObject({ code: 'HUB_UNAVAILABLE' });
  const notes: string[] = [];
  // Without a listing of its own, as other tools leave it, it is taken only where nobody can be asked, and that is said.
  rmSync(join(repositoryDir(), '.tessera'), { recursive: true });
  const alone = await pull(nowhere, { offline: true, onNote: (text) => notes.push(text) });
  expect(alone.files).toEqual(['small-Q4_0.gguf']);
  expect(notes.join()).toMatch(/small-Q4_0\.gguf is taken, which is there; what else .* is not known without the hub/);
  const pinned = await pull(hub.endpoint, { id: `${repository}@${hub.commit}` });
  expect(pinned.files).toEqual(['small-Q8_0.gguf']);
  expect(await pull(nowhere, { id: `${repository}@${hub.commit}` })).toMatchObject({
    path: pinned.path,
    from: 'cache',
  });
});

test('a snapshot of another tool that lacks a file is made whole when its commit is named', async () => {
  await using hub = await HubServer.start({ repository, files });
  const snapshot = leave(hub.commit, ['config.json', 'tokenizer.json', 'model.safetensors']);
  expect(await pull(nowhere, { offline: true })).toMatchObject({ dir: snapshot });
  await pull(hub.endpoint, { id: `${repository}@${hub.commit}` });
  expect(existsSync(join(snapshot, 'chat_template.jinja'))).toBe(true);
});

test('the first of several files of weights is not taken for all of them', async () => {
  const part = { ...files, 'model-00001-of-00002.safetensors': weights };
  leave('c'.repeat(40), ['config.json', 'tokenizer.json', 'model-00001-of-00002.safetensors'], part);
  await expect(pull(nowhere, { offline: true })).rejects.toMatchObject({ code: 'HUB_UNAVAILABLE' });
});

test('a blob that was cut is no file of a complete snapshot', async () => {
  await using hub = await HubServer.start({ repository, files });
  const { dir } = await pull(hub.endpoint);
  truncateSync(blob(weights), 100);
  await expect(pull(nowhere, { offline: true })).rejects.toMatchObject({ code: 'HUB_UNAVAILABLE' });
  expect(await pull(hub.endpoint, { id: `${repository}@${hub.commit}` })).toMatchObject({
    fetchedBytes: weights.length,
  });
  expect(await pull(nowhere, { offline: true })).toMatchObject({ dir });
});

test('of folders that are wanted those files come that are', async () => {
  await using hub = await HubServer.start({ repository, files });
  const { dir, files: names } = await pull(hub.endpoint);
  expect(readdirSync(join(dir, 'templates'))).toEqual(['tool_use.jinja']);
  expect(names).toContain('templates/tool_use.jinja');
  rmSync(join(dir, 'templates/tool_use.jinja'));
  await expect(pull(nowhere, { offline: true })).rejects.toMatchObject({ code: 'HUB_UNAVAILABLE' });
});

test('what is there is verified without the hub, too, and who waits for that sees how far it is', async () => {
  const large = Buffer.alloc(3 * 2 ** 20, 'weights');
  await using hub = await HubServer.start({ repository, files: { ...files, 'model.safetensors': large } });
  const { dir } = await pull(hub.endpoint);
  const progress: { doneBytes: number; totalBytes: number; file: string }[] = [];
  const verified = await pull(nowhere, { offline: true, verify: true, onProgress: (each) => progress.push(each) });
  expect(verified).toMatchObject({ dir });
  expect(new Set(progress.map(({ file }) => file))).toEqual(new Set(verified.files));
  // As it is read, not when all of a file is.
  expect(progress.length).toBeGreaterThan(verified.files.length + 1);
  expect(progress.at(-1)).toMatchObject({ doneBytes: verified.bytes, totalBytes: verified.bytes });
  const damaged = Buffer.from(large);
  damaged[7] = (damaged[7] as number) ^ 1;
  writeFileSync(blob(large), damaged);
  const refusal = { code: 'CHECKPOINT_INVALID', message: /model\.safetensors is damaged: its sha256 is not/ };
  await expect(pull(nowhere, { offline: true, verify: true })).rejects.toMatchObject(refusal);
  await expect(pull(nowhere, { verify: true })).rejects.toMatchObject(refusal);
  leave('c'.repeat(40), ['config.json', 'tokenizer.json', 'model.safetensors']);
  await expect(pull(nowhere, { offline: true, verify: true })).rejects.toMatchObject({
    message: /is no link to a blob, so that its hash is not known/,
  });
});

test('who asks only what a model is leaves no name for a snapshot without weights', async () => {
  await using hub = await HubServer.start({ repository, files });
  const { dir } = await pull(hub.endpoint, { withoutWeights: true });
  expect(existsSync(mainRef())).toBe(false);
  const id = `${repository}@${hub.commit}`;
  expect(await pull(nowhere, { id, withoutWeights: true })).toMatchObject({ dir, from: 'cache' });
  await expect(pull(nowhere, { id })).rejects.toMatchObject({ code: 'HUB_UNAVAILABLE' });
});

test('what is complete is written no more', async () => {
  await using hub = await HubServer.start({ repository, files });
  await pull(hub.endpoint);
  const written = (): number[] =>
    [mainRef(), join(repositoryDir(), '.tessera', `${hub.commit}.json`)].map((path) => statSync(path).ino);
  const before = written();
  await pull(hub.endpoint);
  expect(written()).toEqual(before);
});

test('a copy in the place of a link, as where no links can be made, is not made again; verified, it is read', async () => {
  await using hub = await HubServer.start({ repository, files });
  const { dir } = await pull(hub.endpoint);
  const at = join(dir, 'model.safetensors');
  rmSync(at);
  writeFileSync(at, weights);
  const { ino } = lstatSync(at);
  await pull(hub.endpoint);
  expect(lstatSync(at).ino).toBe(ino);
  writeFileSync(at, bytesOf(9, weights.length));
  await pull(hub.endpoint, { verify: true });
  expect(readFileSync(at).equals(weights)).toBe(true);
});

test('a blob that is wrong is not removed while another process has it in hand', async () => {
  await using hub = await HubServer.start({ repository, files });
  mkdirSync(join(repositoryDir(), 'blobs'), { recursive: true });
  writeFileSync(blob(weights), 'cut');
  const lock = `${blob(weights)}.tessera.incomplete.lock`;
  writeFileSync(lock, 'another-machine 1');
  const notes: string[] = [];
  const pulling = pull(hub.endpoint, { onNote: (text) => notes.push(text) });
  await eventually(() => {
    utimesSync(lock, new Date(), new Date());
    return notes.some((text) => text.startsWith('waiting for'));
  }, 'who waits for the other process says so');
  expect(notes).toEqual([
    'model.safetensors in the cache is damaged; it is fetched again',
    `waiting for process 1 of another-machine, which fetches model.safetensors and holds ${lock}`,
  ]);
  expect(readFileSync(blob(weights), 'utf8')).toBe('cut');
  writeFileSync(blob(weights), weights);
  rmSync(lock);
  await pulling;
  expect(hub.downloads('model.safetensors')).toEqual([]);
});
