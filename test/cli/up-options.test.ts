import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { readBundle } from '@tessera/bundle';
import { collect } from '@tessera/testing/async/collect';
import { bundleCacheDir, samplePath } from '@tessera/testing/demo-model/files';
import { goldenTokens } from '@tessera/testing/demo-model/goldens';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ggufModel } from '../support/gguf-model.js';
import { recitingLlama } from '../support/reciting-llama.js';
import { tessera, tesseraUp } from '../support/tessera.js';
import { textOnlyModel } from '../support/text-only.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-up-options-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

test('a text-only model is served by llm and gateway alone; pictures and drawings are refused', async () => {
  const model = await textOnlyModel(folder);
  const up = await tesseraUp(['--model', model, '--cache', join(folder, 'cache')]);
  try {
    expect(up.processes.map(({ service }) => service).sort()).toEqual(['gateway', 'llm', 'nats']);
    const answer = await tessera(['ask', 'Hello!', '--address', up.gateway]);
    expect(answer).toMatchObject({ status: 0, stdout: 'Hello! Show me a picture, or ask me to draw one.\n' });
    const biased = await tessera([
      ...['ask', 'Hello!', '--logit-bias', '0=100', '--logit-bias', '1=-100', '--max-tokens', '3', '--min-tokens', '3'],
      ...['--presence-penalty', '0.5', '--logprobs', '2', '--json', '--address', up.gateway],
    ]);
    expect(JSON.parse(biased.stdout)).toMatchObject({
      finishReason: 'length',
      text: expect.not.stringMatching('Hello'),
    });
    const held = await tessera(['ask', 'Hello!', '--regex', 'Hi|Ho', '--address', up.gateway]);
    expect(held.stdout).toMatch(/^(Hi|Ho)\n$/);
    const shown = await tessera([
      ...['ask', 'What is this?', '--image', samplePath('apple')],
      ...['--address', up.gateway],
    ]);
    expect(shown.status).toBe(1);
    expect(shown.stderr).toContain('UNSUPPORTED');
  } finally {
    up.process.kill('SIGTERM');
    expect(await up.ended).toBe(0);
  }
});

test('--prefix is the first word of every stream, and two deployments share one NATS by it', async () => {
  const first = await tesseraUp(['--prefix', 'blue']);
  const nats = first.processes.find(({ service }) => service === 'nats')?.address ?? '';
  const second = await tesseraUp(['--prefix', 'green', '--nats-url', nats]);
  try {
    const connection = await connect({ servers: nats });
    const manager = await jetstreamManager(connection);
    const names = await collect(manager.streams.names());
    await connection.close();
    const [blue, green] = ['blue', 'green'].map((prefix) => names.filter((name) => name.includes(prefix)));
    expect(blue?.length).toBeGreaterThan(0);
    expect(green?.map((name) => name.replace('green', 'blue')).sort()).toEqual(blue?.sort());
    expect(names).toHaveLength(2 * (blue?.length ?? 0));
    for (const { gateway } of [first, second]) {
      const answer = await tessera(['ask', 'Hello!', '--address', gateway]);
      expect(answer.stdout).toBe('Hello! Show me a picture, or ask me to draw one.\n');
    }
  } finally {
    for (const { process, ended } of [second, first]) {
      process.kill('SIGTERM');
      expect(await ended).toBe(0);
    }
  }
});

test('a checkpoint of a published family is served as it is, its chat template in a file of its own', async () => {
  const { text, ids } = goldenTokens[0] as (typeof goldenTokens)[number];
  const model = await recitingLlama(folder, ids);
  const up = await tesseraUp(['--model', model, '--weights', 'int4', '--cache', join(folder, 'cache')]);
  try {
    expect(await tessera(['ask', 'Hello!', '--address', up.gateway])).toMatchObject({ status: 0, stdout: `${text}\n` });
  } finally {
    up.process.kill('SIGTERM');
    expect(await up.ended).toBe(0);
  }
});

test('a GGUF file is served as it is, its blocks, words and chat template out of it, and its cache as it is asked for', async () => {
  const cache = join(folder, 'cache');
  const up = await tesseraUp(['--model', await ggufModel(folder), '--kv-cache', 'float16', '--cache', cache]);
  try {
    const answer = await tessera(['ask', 'Hello!', '--address', up.gateway]);
    expect(answer).toMatchObject({ status: 0, stdout: 'Hello! Show me a picture, or ask me to draw one.\n' });
  } finally {
    up.process.kill('SIGTERM');
    expect(await up.ended).toBe(0);
  }
  const [bundle = ''] = readdirSync(cache).filter((name) => name.startsWith('demo.Q8_0-'));
  const { weights, llm } = (await readBundle(join(cache, bundle))).manifest;
  expect({ weights, kvCache: llm.kvCache }).toEqual({ weights: 'int8', kvCache: 'float16' });
});

test.each(['--port', '--nats-port'])(
  'a taken port of %s is one sentence that names it and what to do',
  async (flag) => {
    const taken: Server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as { port: number };
    try {
      const end = await tessera(['up', '--port', '0', flag, String(port), '--cache', bundleCacheDir]);
      expect(end.status).toBe(2);
      expect(end.stdout).toBe('');
      const [sentence, ...more] = end.stderr.trim().split('\n');
      expect(sentence).toContain(`port ${port} of 127.0.0.1: another program listens there`);
      expect(more).toEqual([`  End what listens there, or choose another port with ${flag}; 0 takes any free one.`]);
    } finally {
      taken.close();
    }
  },
);

test('a prefix that NATS would not take is refused before anything starts', async () => {
  const end = await tessera(['up', '--prefix', 'a.b']);
  expect(end.status).toBe(2);
  expect(end.stderr).toContain('letters, digits');
});
