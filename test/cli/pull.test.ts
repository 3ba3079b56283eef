import { chmodSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { type Fault, HubServer, type SeenRequest } from '@tessera/hub/testing/hub-server';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTessera, tessera, tesseraUp } from '../support/tessera.js';
import { textOnlyModel } from '../support/text-only.js';

const repository = 'acme/text-only';
let hub: HubServer;
let fault: (request: SeenRequest) => Fault | undefined;
let weightBytes: number;
let folder: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  const made = mkdtempSync(join(tmpdir(), 'tessera-hub-'));
  try {
    const model = await textOnlyModel(made);
    const files = Object.fromEntries(readdirSync(model).map((name) => [name, readFileSync(join(model, name))]));
    weightBytes = files['model.safetensors']?.length ?? 0;
    hub = await HubServer.start({
      repository,
      files,
      token: 'hf_secret',
      lfsFrom: 1_000_000,
      fault: (seen) => fault(seen),
    });
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
});
afterAll(() => hub[Symbol.asyncDispose]());

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-pull-'));
  env = { HF_ENDPOINT: hub.endpoint, HF_HOME: join(folder, 'hf'), HF_TOKEN: 'hf_secret' };
  fault = () => undefined;
  hub.requests.length = 0;
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const snapshot = (): string => join(folder, 'hf/hub/models--acme--text-only/snapshots', hub.commit);
const fromStore = (): SeenRequest[] => hub.requests.filter(({ server }) => server === 'store');

test('pull prints where the model is, as JSON with what came; the next one needs no file of the hub, or no hub', async () => {
  const first = await tessera(['pull', repository, '--json'], env);
  expect(first).toMatchObject({ status: 0 });
  const result = JSON.parse(first.stdout) as { bytes: number };
  expect(result).toMatchObject({
    id: repository,
    revision: 'main',
    commit: hub.commit,
    path: snapshot(),
    fetchedBytes: result.bytes,
    from: 'hub',
  });
  expect(result.bytes).toBeGreaterThan(weightBytes);
  const second = await tessera(['pull', repository], env);
  expect(second).toMatchObject({ status: 0, stdout: `${snapshot()}\n` });
  expect(second.stderr).toContain('fetched 0.0 MiB');
  expect(fromStore()).toHaveLength(1);
  const before = hub.requests.length;
  const offline = await tessera(['pull', `${repository}@main`, '--json'], { ...env, HF_HUB_OFFLINE: '1' });
  expect(JSON.parse(offline.stdout)).toMatchObject({ path: snapshot(), fetchedBytes: 0, from: 'cache' });
  expect(hub.requests).toHaveLength(before);
});

test('Ctrl-C ends it with 130 and keeps what came; two processes then fetch the rest once', async () => {
  const half = weightBytes >> 1;
  fault = ({ server }) => (server === 'store' ? { stallAfter: half } : undefined);
  const pulling = startTessera(['pull', repository], env);
  const blobs = join(folder, 'hf/hub/models--acme--text-only/blobs');
  const part = (): string | undefined => readdirSync(blobs).find((name) => name.endsWith('.tessera.incomplete'));
  await eventually(() => {
    try {
      return statSync(join(blobs, part() ?? '')).size === half;
    } catch {
      return false;
    }
  }, 'half of the weights are there');
  pulling.process.kill('SIGINT');
  const end = await pulling.ended;
  expect(end).toMatchObject({ status: 130, stdout: '' });
  expect(end.stderr).toContain('CANCELLED');
  expect(readdirSync(blobs).filter((name) => name.endsWith('.lock'))).toEqual([]);

  fault = () => undefined;
  const both = await Promise.all([1, 2].map(() => tessera(['pull', repository, '--json'], env)));
  const fetched = both.map(({ stdout }) => (JSON.parse(stdout) as { fetchedBytes: number }).fetchedBytes);
  expect(fetched.toSorted((a, b) => a - b)).toEqual([0, weightBytes - half]);
  expect(fromStore().map(({ range }) => range)).toEqual([undefined, `bytes=${half}-`]);
});

test('weights that are kept only in part are told, not taken for whole', async () => {
  // As a full disk does, the limit takes a part of the last write and says how much.
  const blocks = Math.floor((weightBytes - 1) / 512);
  const end = await tessera(['pull', repository], env, ['/bin/sh', '-c', `ulimit -f ${blocks}; exec "$0" "$@"`]);
  expect(end.stderr).toMatch(/STORAGE_FULL/);
  expect(end).toMatchObject({ status: 1, stdout: '' });
  expect(await tessera(['pull', repository], env)).toMatchObject({ status: 0 });
});

test('a cache that cannot be written serves what is complete; else that is said', async () => {
  expect(await tessera(['pull', repository], env)).toMatchObject({ status: 0 });
  const dir = join(folder, 'hf/hub/models--acme--text-only');
  const folders = [dir, ...readdirSync(dir, { recursive: true }).map((name) => join(dir, String(name)))].filter(
    (path) => lstatSync(path).isDirectory(),
  );
  const allow = (mode: number): void => {
    for (const path of folders) chmodSync(path, mode);
  };
  // Root may write everywhere, but for this.
  const under = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override'] : [];
  try {
    allow(0o555);
    expect(await tessera(['pull', repository], env, under)).toMatchObject({ status: 0, stdout: `${snapshot()}\n` });
    allow(0o755);
    for (const name of readdirSync(join(dir, 'blobs'))) rmSync(join(dir, 'blobs', name));
    allow(0o555);
    const end = await tessera(['pull', repository], env, under);
    expect(end.stderr).toMatch(/cannot be written \(EACCES\); HF_HOME names another folder \[CONFIG_INVALID\]/);
    expect(end).toMatchObject({ status: 2, stdout: '' });
  } finally {
    allow(0o755);
  }
});

test.each([
  ['a word that is no id', ['pull', '../model'], {}, 2, /is no id of a model/],
  ['a model that is not there', ['pull', 'acme/other'], {}, 1, /no model acme\/other at http.*HUB_NOT_FOUND/],
  ['no token', ['pull', repository], { HF_TOKEN: '' }, 1, /not public.*HUB_DENIED/],
  [
    'a hub that is away',
    ['pull', repository, '--retries', '0'],
    { HF_ENDPOINT: 'http://127.0.0.1:1' },
    3,
    /cannot be reached: .*HUB_UNAVAILABLE/,
  ],
  ['an endpoint that is none', ['pull', repository], { HF_ENDPOINT: 'hub' }, 2, /HF_ENDPOINT is "hub"/],
  [
    'offline, and nothing there',
    ['pull', repository],
    { HF_HUB_OFFLINE: '1' },
    3,
    /is not complete in .* HF_HUB_OFFLINE is set/,
  ],
  [
    'neither a folder nor on the hub',
    ['compile', 'acme/other', '--out', 'never'],
    {},
    1,
    /nothing is at .*acme\/other, and there is no model/,
  ],
])('%s is said with its status', async (_, args, more, status, message) => {
  const end = await tessera(args, { ...env, ...more });
  expect(end.stderr).toMatch(message);
  expect(end).toMatchObject({ status, stdout: '' });
});

test('inspect of an id fetches no weights', async () => {
  const { status, stdout, stderr } = await tessera(['inspect', repository], env);
  expect(status).toBe(0);
  expect(stdout).toMatch(/llm +8\.80 M/);
  expect(stderr).toContain('config.json alone');
  expect(fromStore()).toEqual([]);
});

test('up --model with an id pulls, compiles and serves it under its name', async () => {
  const cache = join(folder, 'cache');
  const up = await tesseraUp(['--model', `${repository}@${hub.commit}`, '--cache', cache], { env });
  try {
    const answer = await tessera(['ask', 'Hello!', '--address', up.gateway]);
    expect(answer).toMatchObject({ status: 0, stdout: 'Hello! Show me a picture, or ask me to draw one.\n' });
  } finally {
    up.process.kill('SIGTERM');
    expect(await up.ended).toBe(0);
  }
  const bundles = readdirSync(cache).filter((name) => name.startsWith('text-only-float32-'));
  expect(bundles).toHaveLength(1);
  expect((await readBundle(join(cache, bundles[0] as string))).manifest.name).toBe('text-only');
});

test('compile of an id pulls it, and with --keep asks nobody when the bundle is there', async () => {
  const args = ['compile', repository, '--out', join(folder, 'bundle'), '--weights', 'int8', '--keep', '--json'];
  expect(await tessera(args, env)).toMatchObject({ status: 0 });
  expect((await readBundle(join(folder, 'bundle'))).manifest).toMatchObject({ name: 'text-only', weights: 'int8' });
  hub.requests.length = 0;
  expect(JSON.parse((await tessera(args, env)).stdout)).toMatchObject({ kept: true });
  const asked = (id: string, weights = 'int8') =>
    tessera(['compile', id, '--out', join(folder, 'bundle'), '--weights', weights, '--keep', '--json'], env);
  expect(await asked(`${repository}@${hub.commit}`)).toMatchObject({ status: 0 });
  for (const [id, weights, says] of [
    [`${repository}@${'0'.repeat(40)}`, 'int8', `of ${repository}@${hub.commit}, not of ${repository}@000`],
    ['acme/other', 'int8', 'not of acme/other@main'],
    [repository, 'auto', 'of weights int8, not auto'],
  ] as const) {
    const { status, stderr } = await asked(id, weights);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(says) });
  }
  expect(hub.requests).toEqual([]);
  // A folder is compared by its contents, wherever it came from.
  expect(await asked(snapshot())).toMatchObject({ status: 0 });
  rmSync(join(folder, 'bundle/made-from.json'));
  expect((await asked(repository)).stderr).toContain('does not say whether it was made from');
});
