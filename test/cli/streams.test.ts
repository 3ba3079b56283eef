import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { type NatsServer, natsUsers, passwordOf, startNatsServer } from '@tessera/nats-server';
import { Subjects } from '@tessera/protocol';
import { steadyPort } from '@tessera/service';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTessera, tessera } from '../support/tessera.js';

let folder: string;
const servers: NatsServer[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tessera-streams-'));
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await rm(folder, { recursive: true, force: true });
});

async function nats(configuration = '', port = 0): Promise<string> {
  const server = await startNatsServer({ configuration, port });
  servers.push(server);
  return server.url;
}

/** What lies on a server: streams by name, and the consumers of each. */
async function found(url: string): Promise<Record<string, string[]>> {
  const nc = await connect({ servers: url });
  const manager = await jetstreamManager(nc);
  const streams: Record<string, string[]> = {};
  for await (const name of manager.streams.names()) {
    streams[name] = [];
    for await (const consumer of manager.consumers.list(name)) streams[name].push(consumer.name);
  }
  await nc.close();
  return streams;
}

interface Applied {
  readonly revision: string;
  readonly steps: readonly { what: string; stream: string; durable?: string; outcome: string }[];
  readonly maxMemBytes: number;
}
interface Planned {
  readonly streams: readonly { name: string; maxBytes: number }[];
  readonly queues: readonly { stage: string; stream: string; consumer: string }[];
  readonly maxMemBytes: number;
  readonly maxMemBytesOfTwoRevisions: number;
}

test("apply makes what plan says, of the revision in a model's folder; again it keeps, and with other settings it changes", async () => {
  const url = await nats();
  const model = join(folder, 'manifest-only');
  const dir = await demoBundleDir();
  await cp(join(dir, 'bundle.json'), join(model, 'bundle.json'));
  const { revision } = (await readBundle(dir)).manifest;
  // As a Job gets them: some by the environment, the rest by the file of a service, which has other keys too.
  const config = join(folder, 'gateway.yaml');
  await writeFile(config, 'nats: {prefix: cluster, maxJobs: 9}\nmedia: {maxItems: 3}\n');
  const env = { TESSERA_NATS_URL: url, TESSERA_CONFIG: config, TESSERA_MODEL_DIR: model };

  const plan = JSON.parse((await tessera(['streams', 'plan', '--json'], env)).stdout) as Planned;
  const first = await tessera(['streams', 'apply', '--json'], env);
  expect(first).toMatchObject({ status: 0, stderr: '' });
  const applied = JSON.parse(first.stdout) as Applied;
  expect(applied).toMatchObject({ revision, maxMemBytes: plan.maxMemBytes });
  expect(applied.steps.every(({ outcome }) => outcome === 'made')).toBe(true);

  const there = await found(url);
  expect(Object.keys(there).toSorted()).toEqual(plan.streams.map(({ name }) => name).toSorted());
  expect(plan.queues.map(({ stage }) => stage).toSorted()).toEqual(['connector', 'encoder', 'generator']);
  for (const { stream, consumer } of plan.queues) expect(there[stream]).toEqual([consumer]);
  expect(plan.streams.reduce((sum, { maxBytes }) => sum + maxBytes, 0)).toBe(plan.maxMemBytes);

  const again = JSON.parse((await tessera(['streams', 'apply', '--json'], env)).stdout) as Applied;
  expect(new Set(again.steps.map(({ outcome }) => outcome))).toEqual(new Set(['kept']));

  const more = await tessera(['streams', 'apply', '--nats-max-jobs', '10'], env);
  expect(more).toMatchObject({ status: 0, stdout: '' });
  expect(more.stderr).toMatch(new RegExp(`changed +stream +cluster_v2_encode_${revision}`));
  expect(more.stderr).toMatch(/kept +stream +cluster_v2_tokens_0/);
});

test('a user that may only make streams makes them all', async () => {
  const subjects = new Subjects('tessera', 'r1');
  const url = await nats(natsUsers(subjects));
  const passwordFile = join(folder, 'password');
  await writeFile(passwordFile, passwordOf('streams'));
  const flags = ['--nats-url', url, '--nats-user', 'streams', '--nats-password-file', passwordFile];
  const done = await tessera(['streams', 'apply', '--revision', 'r1', '--json', ...flags]);
  expect(done).toMatchObject({ status: 0, stderr: '' });
  // The same user for a revision that its permissions do not name.
  const other = await tessera(['streams', 'apply', '--revision', 'r2', ...flags]);
  expect(other.status).toBe(2);
  expect(other.stderr).toContain('tessera_v2_encode_r2');
  expect(other.stderr).toContain('docs/permissions.md');
});

test('a NATS that is too small is refused with what it needs', async () => {
  const url = await nats(`jetstream { max_mem: 200MB, store_dir: ${JSON.stringify(join(folder, 'store'))} }`);
  const { status, stderr } = await tessera(['streams', 'apply', '--revision', 'r1', '--nats-url', url]);
  expect(status).toBe(2);
  expect(stderr).toContain('max_mem');
});

test('a NATS that is not there yet is waited for; one that does not come is a failure worth trying again', async () => {
  const port = await steadyPort();
  const url = `nats://127.0.0.1:${port}`;
  const waiting = startTessera(['streams', 'apply', '--revision', 'r1', '--nats-url', url, '--json']);
  await expect.poll(() => waiting.stderr()).toContain('waiting for NATS');
  await nats('', port);
  expect((await waiting.ended).status).toBe(0);
  const gone = await tessera([
    'streams',
    'apply',
    '--revision',
    'r1',
    '--nats-url',
    'nats://127.0.0.1:1',
    '--nats-wait-ms',
    '1',
  ]);
  expect(gone.status).toBe(3);
  expect(gone.stderr).toContain('127.0.0.1:1');
});

test.each<[string, string[], string, NodeJS.ProcessEnv?]>([
  ['no revision', [], 'whose streams'],
  ['a revision that cannot stand in a name', ['--revision', 'a.b'], 'revision'],
  ['a folder without a model', ['--model-dir', '/nowhere'], 'bundle.json'],
  ['a setting that is wrong', ['--revision', 'r1', '--nats-shards', '0'], '--nats-shards'],
  ['a variable that is nearly a setting', ['--revision', 'r1'], 'TESSERA_NATS_URL', { TESSERA_NATS_URI: 'x' }],
])('%s is refused with a sentence', async (_, args, words, env = {}) => {
  const { status, stdout, stderr } = await tessera(['streams', 'plan', ...args], env);
  expect(status).not.toBe(0);
  expect(stdout).toBe('');
  expect(stderr).toContain(words);
});
