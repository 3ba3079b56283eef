import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@tessera/testing/async/eventually';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { TestAuthority } from '@tessera/testing/tls/certificates';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseModelId } from './model-id.js';
import { type PullOptions, pullModel } from './pull-model.js';
import type { PulledModel } from './pulled-model.js';
import { gitHash, HubServer, type HubServerOptions } from './testing/hub-server.js';

const repository = 'acme/small-model';
const wanted = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'tokenizer.model'];

function bytesOf(seed: number, length: number): Buffer {
  const random = seededRandom(seed);
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}

const weights = bytesOf(1, 200_000);
const files = {
  'config.json': Buffer.from('{"model_type":"llama"}'),
  'tokenizer.json': Buffer.from(`{"model":"${'x'.repeat(3000)}"}`),
  'tokenizer_config.json': Buffer.from('{}'),
  'tokenizer.model': bytesOf(2, 3000),
  'README.md': Buffer.from('# Small'),
  'pytorch_model.bin': bytesOf(3, 5000),
  'model.safetensors': weights,
  'onnx/model.onnx': bytesOf(4, 5000),
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-pull-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const serve = (options: Partial<HubServerOptions> = {}): Promise<HubServer> =>
  HubServer.start({ repository, files, ...options });

interface Pulling extends Partial<PullOptions> {
  readonly id?: string;
  readonly token?: string;
  readonly offline?: boolean;
}

function pull(
  endpoint: string,
  { id = repository, token, offline = false, ...options }: Pulling = {},
): Promise<PulledModel> {
  const parsed = parseModelId(id);
  if (parsed === undefined) throw new Error(`${id} is no id`);
  const surroundings = { endpoint, cacheDir: folder, token, offline, timeoutMs: 10_000 };
  return pullModel(parsed, { surroundings, wanted, retries: 2, ...options });
}

const repositoryDir = (): string => join(folder, 'models--acme--small-model');
const blobs = (): string[] => readdirSync(join(repositoryDir(), 'blobs')).sort();
const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex');

test('the files that are needed come into the layout that other tools share, and no others', async () => {
  await using hub = await serve({ pageSize: 3 });
  const pulled = await pull(hub.endpoint);
  expect(pulled).toMatchObject({ commit: hub.commit, from: 'hub', path: pulled.dir });
  expect(pulled.dir).toBe(join(repositoryDir(), 'snapshots', hub.commit));
  const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'] as const;
  expect(readdirSync(pulled.dir).sort()).toEqual([...names].sort());
  expect([...pulled.files].sort()).toEqual([...names].sort());
  for (const name of names) expect(readFileSync(join(pulled.dir, name)).equals(files[name])).toBe(true);
  expect(readlinkSync(join(pulled.dir, 'model.safetensors'))).toBe(join('..', '..', 'blobs', sha256(weights)));
  expect(readlinkSync(join(pulled.dir, 'config.json'))).toBe(join('..', '..', 'blobs', gitHash(files['config.json'])));
  expect(readFileSync(join(repositoryDir(), 'refs', 'main'), 'utf8')).toBe(hub.commit);
  expect(blobs()).toHaveLength(names.length);
  expect(pulled.fetchedBytes).toBe(pulled.bytes);
  expect(pulled.bytes).toBe(names.reduce((sum, name) => sum + files[name].length, 0));
});

test('what is there is not fetched again, whatever the revision is called; by its commit the hub is not even asked', async () => {
  await using hub = await serve();
  await pull(hub.endpoint);
  const before = hub.requests.length;
  expect(await pull(hub.endpoint)).toMatchObject({ fetchedBytes: 0, from: 'hub' });
  expect(hub.requests.slice(before).filter(({ path }) => !path.startsWith('/api/'))).toEqual([]);
  const asked = hub.requests.length;
  expect(await pull(hub.endpoint, { id: `${repository}@${hub.commit}` })).toMatchObject({
    fetchedBytes: 0,
    from: 'cache',
  });
  expect(hub.requests).toHaveLength(asked);
});

test('a connection that is cut again and again is taken up where it ended', async () => {
  // More cuts in a row than are tried again: each got further.
  await using hub = await serve({ fault: ({ server }) => (server === 'store' ? { cutAfter: 60_000 } : undefined) });
  const notes: string[] = [];
  const { dir } = await pull(hub.endpoint, { retries: 1, onNote: (text) => notes.push(text) });
  expect(readFileSync(join(dir, 'model.safetensors')).equals(weights)).toBe(true);
  const ranges = hub.downloads('model.safetensors').flatMap(({ server, range }) => (server === 'store' ? [range] : []));
  expect(ranges[0]).toBeUndefined();
  expect(ranges.length).toBeGreaterThan(2);
  const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1]));
  expect(starts).toEqual(starts.toSorted((a, b) => a - b));
  expect(starts[0]).toBeGreaterThan(0);
  expect(notes.length).toBeGreaterThan(1);
});

test('a store that knows no ranges sends the whole again', async () => {
  let sent = 0;
  await using hub = await serve({
    fault: ({ path }) =>
      path !== `/${sha256(weights)}` ? undefined : sent++ === 0 ? { cutAfter: 70_000 } : { noRange: true },
  });
  const { dir } = await pull(hub.endpoint);
  expect(readFileSync(join(dir, 'model.safetensors')).equals(weights)).toBe(true);
  expect(sent).toBe(2);
});

const part = (): string => join(repositoryDir(), 'blobs', `${sha256(weights)}.tessera.incomplete`);

test.each([
  ['another length', { 'content-length': '28' }, 'CHECKPOINT_INVALID', /it has 28 bytes there/],
  ['a page of HTML', { 'content-type': 'text/html; charset=utf-8' }, 'CONFIG_INVALID', /a page of HTML in place of/],
])('what came before stays where %s comes in place of the rest', async (_, headers, code, message) => {
  await using hub = await serve({
    fault: ({ server, range }) => (server === 'store' && range ? { status: 200, headers } : undefined),
  });
  mkdirSync(join(repositoryDir(), 'blobs'), { recursive: true });
  writeFileSync(part(), weights.subarray(0, 120_000));
  await expect(pull(hub.endpoint)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  expect(readFileSync(part()).equals(weights.subarray(0, 120_000))).toBe(true);
});

test('a store that begins anew each time, and never gets further, is left', async () => {
  let cuts = 0;
  await using hub = await serve({
    fault: ({ path }) =>
      path === `/${sha256(weights)}` ? { cutAfter: 30_000 + 10_000 * (cuts++ % 2), noRange: true } : undefined,
  });
  await expect(pull(hub.endpoint, { retries: 2 })).rejects.toMatchObject({ code: 'HUB_UNAVAILABLE' });
});

test('a part of an earlier run is gone on with, in a run that a signal ends too', async () => {
  const stop = new AbortController();
  await using hub = await serve({
    fault: ({ path }) => (path === `/${sha256(weights)}` && !stop.signal.aborted ? { stallAfter: 120_000 } : undefined),
  });
  const pulling = pull(hub.endpoint, { signal: stop.signal });
  await eventually(() => existsSync(part()) && readFileSync(part()).length === 120_000, 'a part is there');
  const why = new Error('told to stop');
  stop.abort(why);
  await expect(pulling).rejects.toBe(why);
  expect(readFileSync(part()).equals(weights.subarray(0, 120_000))).toBe(true);
  expect(existsSync(join(repositoryDir(), 'refs', 'main'))).toBe(false);
  const pulled = await pull(hub.endpoint);
  expect(pulled.fetchedBytes).toBe(pulled.bytes - (pulled.bytes - 80_000));
  expect(hub.downloads('model.safetensors').at(-1)?.range).toBe('bytes=120000-');
  expect(blobs().filter((name) => name.includes('incomplete'))).toEqual([]);
});

test('a server that falls silent before its headers or within a body is left, and another try succeeds', async () => {
  const silent = new Map<string, number>();
  const isFirst = (path: string): boolean => {
    const before = silent.get(path) ?? 0;
    silent.set(path, before + 1);
    return before === 0;
  };
  await using hub = await serve({
    fault: ({ path }) => {
      if (path === `/${sha256(weights)}` && isFirst(path)) return { stallAfter: 50_000 };
      if (path.endsWith('/config.json') && isFirst(path)) return { stallAfter: -1 };
      return undefined;
    },
  });
  const notes: string[] = [];
  // A hop on a machine that is busy takes a second, too: what is slow then is one failure more, and not of these.
  const { dir } = await pull(hub.endpoint, { timeoutMs: 1500, retries: 10, onNote: (text) => notes.push(text) });
  expect(readFileSync(join(dir, 'model.safetensors')).equals(weights)).toBe(true);
  expect(readFileSync(join(dir, 'config.json')).equals(files['config.json'])).toBe(true);
  expect(notes.filter((text) => /sent nothing for 1500 ms; trying again/.test(text)).length).toBeGreaterThanOrEqual(2);
  expect([...silent.values()].every((asked) => asked >= 2)).toBe(true);
});

test('content that is not what its hash says is thrown away; sent twice, it is refused', async () => {
  let often = 1;
  const flips = new Map<string, number>();
  await using hub = await serve({
    fault: ({ server, path }) => {
      if (server !== 'store' && !path.endsWith('/tokenizer_config.json')) return undefined;
      const before = flips.get(path) ?? 0;
      flips.set(path, before + 1);
      return before < often ? { flip: true } : undefined;
    },
  });
  const once = await pull(hub.endpoint);
  // Of each of the three that come wrong the second is taken: from the store two, and a small one from the hub.
  expect([...flips.values()]).toEqual([2, 2, 2]);
  for (const name of ['model.safetensors', 'tokenizer.json', 'tokenizer_config.json'] as const) {
    expect(readFileSync(join(once.dir, name)).equals(files[name])).toBe(true);
  }
  rmSync(folder, { recursive: true });
  mkdirSync(folder);
  flips.clear();
  often = 1000;
  await expect(pull(hub.endpoint)).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: expect.stringMatching(
      /tokenizer(_config)?\.json: what comes is not what the hub lists: its [a-z0-9-]+ is/,
    ),
  });
  expect(Math.max(...flips.values())).toBe(2);
  expect(existsSync(join(repositoryDir(), 'snapshots'))).toBe(false);
  expect(blobs().filter((name) => name.includes('incomplete'))).toEqual([]);
});

test('of small files the hash is that of git', async () => {
  await using hub = await serve({ fault: ({ path }) => (path.endsWith('/config.json') ? { flip: true } : undefined) });
  await expect(pull(hub.endpoint)).rejects.toMatchObject({
    message: expect.stringMatching(/config\.json: .* its git-sha1 is/),
  });
});

test('a hub whose API is elsewhere now, and wants the token there, is told with its address', async () => {
  await using moved = await serve({ token: 'hf_secret' });
  await using hub = await serve({
    fault: ({ path }) => ({ status: 308, headers: { location: `${moved.endpoint}${path}` } }),
  });
  await expect(pull(hub.endpoint, { token: 'hf_secret' })).rejects.toMatchObject({
    code: 'HUB_DENIED',
    message: expect.stringContaining(`redirects to ${moved.endpoint}, which answers with status 401`),
  });
  expect(moved.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
});

test('a certificate that is not trusted is told once, with the variable that helps', async () => {
  await using authority = await TestAuthority.create();
  const { certFile, keyFile } = await authority.issue('hub');
  const pair = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
  const server = createServer(pair, (_, response) => response.end('{}'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const notes: string[] = [];
  try {
    const { port } = server.address() as AddressInfo;
    await expect(pull(`https://127.0.0.1:${port}`, { onNote: (text) => notes.push(text) })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: /is not trusted \(.*NODE_EXTRA_CA_CERTS/,
    });
  } finally {
    server.close();
  }
  expect(notes).toEqual([]);
});

test('of a store that dies within a body it is the store that is told', async () => {
  await using hub = await serve({ fault: ({ server }) => (server === 'store' ? { cutAfter: 100 } : undefined) });
  await expect(pull(hub.endpoint, { retries: 0 })).rejects.toMatchObject({
    code: 'HUB_UNAVAILABLE',
    message: expect.stringMatching(/^127\.0\.0\.1:\d+, where the hub sends for it, cannot be reached/),
  });
});

test('the token goes to the hub and not to where the hub redirects', async () => {
  await using hub = await serve({ token: 'hf_secret' });
  await pull(hub.endpoint, { token: 'hf_secret' });
  const seen = (server: string) =>
    new Set(hub.requests.flatMap((each) => (each.server === server ? [each.authorization] : [])));
  expect(seen('hub')).toEqual(new Set(['Bearer hf_secret']));
  expect(seen('store')).toEqual(new Set([undefined]));
});

test.each([
  [
    'a private model without a token',
    { token: 'hf_a' },
    {},
    'HUB_DENIED',
    /not at .* or is not public: the hub wants a token/,
  ],
  [
    'a private model with another token',
    { token: 'hf_a' },
    { token: 'hf_b' },
    'HUB_DENIED',
    /does not let the token read/,
  ],
  [
    'a gated model without a token',
    { token: 'hf_a', isGated: true },
    {},
    'HUB_DENIED',
    /gated: its terms are accepted at .*HF_TOKEN/,
  ],
  [
    'a gated model',
    { token: 'hf_a', isGated: true },
    { token: 'hf_b' },
    'HUB_DENIED',
    /gated: .* with the account of the token/,
  ],
  ['no such model', {}, { id: 'acme/other' }, 'HUB_NOT_FOUND', /no model acme\/other at http/],
  ['no such revision', {}, { id: `${repository}@v9` }, 'HUB_NOT_FOUND', /has no revision v9/],
  ['no such GGUF file', {}, { id: `${repository}:a.gguf` }, 'HUB_NOT_FOUND', /has no file a\.gguf/],
  [
    'pickles only',
    { files: { 'config.json': Buffer.from('{}'), 'pytorch_model.bin': weights } },
    {},
    'CHECKPOINT_INVALID',
    /pickle files only, which run code .* \(pytorch_model\.bin\)/,
  ],
  ['no weights', { files: { 'config.json': Buffer.from('{}') } }, {}, 'CHECKPOINT_INVALID', /no weights/],
  [
    'a listing that leads out',
    { entries: [{ type: 'file', path: '../../../evil.safetensors', size: 1, oid: 'a'.repeat(40) }] },
    {},
    'CHECKPOINT_INVALID',
    /lists a file named .*evil.* no path inside/,
  ],
  [
    'a hash that leads out',
    { entries: [{ type: 'file', path: 'model.safetensors', size: 1, oid: '../../../x' }] },
    {},
    'CHECKPOINT_INVALID',
    /without a hash/,
  ],
  [
    'another commit than the one that is named',
    {
      fault: ({ path }: { path: string }) =>
        path.includes('/revision/')
          ? { status: 200, body: JSON.stringify({ _id: '1', id: repository, sha: 'b'.repeat(40) }) }
          : undefined,
    },
    { id: `${repository}@${'a'.repeat(40)}` },
    'CONFIG_INVALID',
    /it gives b{40} for a{40}/,
  ],
  [
    'a page that is no listing',
    { fault: ({ path }: { path: string }) => (path.includes('/tree/') ? { status: 200 } : undefined) },
    {},
    'CONFIG_INVALID',
    /does not answer as a hub does/,
  ],
] as const)('%s is refused with a sentence', async (_, options, pulling, code, message) => {
  await using hub = await serve(options as Partial<HubServerOptions>);
  await expect(pull(hub.endpoint, pulling)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  expect(readdirSync(folder).every((name) => name === 'models--acme--small-model')).toBe(true);
});

test('a listing of empty pages, each of which leads to itself, has an end', async () => {
  let self = '';
  await using hub = await serve({
    fault: ({ path }) =>
      path.includes('/tree/') ? { status: 200, headers: { link: `<${self}>; rel="next"` }, body: '[]' } : undefined,
  });
  self = `${hub.endpoint}/api/models/${repository}/tree/main`;
  await expect(pull(hub.endpoint)).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: /lists more than 500 pages/,
  });
});

test('a hub that asks for fewer requests gets them, as long as it says; one that asks for too much is left', async () => {
  let refused = 0;
  await using hub = await serve({
    fault: ({ path }) =>
      path.includes('/tree/') && refused++ === 0 ? { status: 429, headers: { 'retry-after': '0' } } : undefined,
  });
  await pull(hub.endpoint);
  expect(refused).toBe(2);
  await using stricter = await serve({ fault: () => ({ status: 429, headers: { 'retry-after': '3600' } }) });
  await expect(pull(stricter.endpoint, { id: 'acme/small-model@v2' })).rejects.toMatchObject({
    code: 'HUB_UNAVAILABLE',
    retryAfterMs: 3_600_000,
  });
  expect(stricter.requests).toHaveLength(1);
});

test('offline, or with a hub that is away, a snapshot that is complete serves, and one that is not is refused', async () => {
  const hub = await serve();
  const { endpoint } = hub;
  await expect(pull(endpoint, { offline: true })).rejects.toMatchObject({
    code: 'HUB_UNAVAILABLE',
    message: /HF_HUB_OFFLINE/,
  });
  expect(hub.requests).toEqual([]);
  const { dir } = await pull(endpoint);
  const asked = hub.requests.length;
  expect(await pull(endpoint, { offline: true })).toMatchObject({ dir, from: 'cache', fetchedBytes: 0 });
  expect(hub.requests).toHaveLength(asked);
  await hub[Symbol.asyncDispose]();
  const notes: string[] = [];
  expect(await pull(endpoint, { retries: 0, onNote: (text) => notes.push(text) })).toMatchObject({
    dir,
    from: 'cache',
  });
  expect(notes.join()).toMatch(/cannot be reached: ECONNREFUSED; the snapshot .* is used/);
  rmSync(join(dir, 'model.safetensors'));
  await expect(pull(endpoint, { retries: 0 })).rejects.toMatchObject({
    code: 'HUB_UNAVAILABLE',
    message: /cannot be reached/,
  });
});

test('of weights in several files those that the index names come, and what another tool put there is used', async () => {
  const first = bytesOf(5, 20_000);
  const index = Buffer.from(
    JSON.stringify({ weight_map: { a: 'model-1-of-2.safetensors', b: 'model-2-of-2.safetensors' } }),
  );
  const sharded = {
    'config.json': files['config.json'],
    'tokenizer.json': files['tokenizer.json'],
    'model.safetensors.index.json': index,
    'model-1-of-2.safetensors': first,
    'model-2-of-2.safetensors': weights,
    'consolidated.safetensors': bytesOf(6, 9000),
  };
  await using hub = await serve({ files: sharded });
  mkdirSync(join(repositoryDir(), 'blobs'), { recursive: true });
  writeFileSync(join(repositoryDir(), 'blobs', sha256(first)), first);
  // As a tool leaves it that was ended between two files.
  const snapshot = join(repositoryDir(), 'snapshots', hub.commit);
  mkdirSync(snapshot, { recursive: true });
  symlinkSync(join('..', '..', 'blobs', sha256(first)), join(snapshot, 'model-1-of-2.safetensors'));
  const { dir, fetchedBytes, bytes } = await pull(hub.endpoint);
  expect(fetchedBytes).toBe(bytes - first.length);
  expect(readdirSync(dir).sort()).toEqual(
    Object.keys(sharded)
      .filter((name) => name !== 'consolidated.safetensors')
      .sort(),
  );
  expect(await pull(hub.endpoint, { offline: true })).toMatchObject({ dir });
  rmSync(join(dir, 'model-2-of-2.safetensors'));
  await expect(pull(hub.endpoint, { offline: true })).rejects.toMatchObject({ code: 'HUB_UNAVAILABLE' });
});

test('an index that names files which are not there is refused before any weights come', async () => {
  const index = Buffer.from(JSON.stringify({ weight_map: { a: '../../../etc/passwd' } }));
  await using hub = await serve({ files: { ...files, 'model.safetensors.index.json': index } });
  await expect(pull(hub.endpoint)).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: /"\.\.\/\.\.\/\.\.\/etc\/passwd", which its .* names/,
  });
  expect(hub.downloads('model.safetensors')).toEqual([]);
});

test('with verify, a damaged blob is found and fetched again', async () => {
  await using hub = await serve();
  const { dir } = await pull(hub.endpoint);
  const damaged = Buffer.from(weights);
  damaged[7] = (damaged[7] as number) ^ 1;
  writeFileSync(join(repositoryDir(), 'blobs', sha256(weights)), damaged);
  expect(await pull(hub.endpoint)).toMatchObject({ fetchedBytes: 0 });
  expect(await pull(hub.endpoint, { verify: true })).toMatchObject({ fetchedBytes: weights.length });
  expect(readFileSync(join(dir, 'model.safetensors')).equals(weights)).toBe(true);
});

test('two pulls at once fetch each file once', async () => {
  await using hub = await serve();
  const both = await Promise.all([pull(hub.endpoint), pull(hub.endpoint)]);
  expect(both[0].dir).toBe(both[1].dir);
  expect(hub.downloads('model.safetensors').filter(({ server }) => server === 'store')).toHaveLength(1);
  expect(both[0].fetchedBytes + both[1].fetchedBytes).toBe(both[0].bytes);
});

test('of GGUF files the one that is named comes, by name or type, or the one that is preferred', async () => {
  const models = Object.fromEntries(
    [
      ...['small-Q4_0.gguf', 'small-Q8_0.gguf', 'small-Q4_K_M.gguf', 'mmproj-small-F16.gguf'],
      ...['small-F16-00001-of-00002.gguf', 'small-F16-00002-of-00002.gguf', 'small-F32-00001-of-00002.gguf'],
    ].map((name, i) => [name, bytesOf(10 + i, 2000)]),
  );
  await using hub = await serve({
    files: { ...models, 'config.json': files['config.json'], 'bf16/small-BF16.gguf': bytesOf(20, 2000) },
  });
  const notes: string[] = [];
  const byDefault = await pull(hub.endpoint, { onNote: (text) => notes.push(text) });
  expect(byDefault.path).toBe(join(byDefault.dir, 'small-Q8_0.gguf'));
  expect(notes.join()).toMatch(/of 4 GGUF models small-Q8_0\.gguf is taken/);
  expect((await pull(hub.endpoint, { id: `${repository}:q4_k_m` })).files).toEqual(['small-Q4_K_M.gguf']);
  const split = await pull(hub.endpoint, { id: `${repository}:F16` });
  expect(split.files).toEqual(['small-F16-00001-of-00002.gguf', 'small-F16-00002-of-00002.gguf']);
  expect(split.path).toBe(join(split.dir, 'small-F16-00001-of-00002.gguf'));
  const named = await pull(hub.endpoint, { id: `${repository}:small-F16-00002-of-00002.gguf`, offline: true });
  expect(named.files).toEqual(split.files);
  const nested = await pull(hub.endpoint, { id: `${repository}:bf16/small-BF16.gguf` });
  expect(readFileSync(nested.path).equals(bytesOf(20, 2000))).toBe(true);
  expect(await pull(hub.endpoint, { id: `${repository}:bf16/small-BF16.gguf`, offline: true })).toMatchObject({
    path: nested.path,
  });
  await expect(pull(hub.endpoint, { id: `${repository}:Q2_K` })).rejects.toMatchObject({
    code: 'HUB_NOT_FOUND',
    message: /no GGUF file of type Q2_K: it has small-/,
  });
});
