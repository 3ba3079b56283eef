import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { eventually } from '@tessera/testing/async/eventually';
import { bundleCacheDir, samplePath } from '@tessera/testing/demo-model/files';
import { isAlive } from '@tessera/testing/processes/is-alive';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sumMetric } from '../support/deployment.js';
import { recitingLlama } from '../support/reciting-llama.js';
import { tessera, tesseraUp, type Up } from '../support/tessera.js';

let folder: string;
let up: Up;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-up-experts-'));
  up = await tesseraUp(['--experts', '2']);
});
afterAll(async () => {
  up?.process.kill('SIGTERM');
  await up?.ended;
  rmSync(folder, { recursive: true, force: true });
});

const of = (service: string) => up.processes.filter((each) => each.service === service).at(-1);

const asks = () => tessera(['ask', 'What is this?', '--image', samplePath('apple'), '--address', up.gateway]);

test('one command serves a mixture with its experts in two shards, and the answer is the same', async () => {
  expect(up.processes.map(({ service }) => service)).toEqual(expect.arrayContaining(['experts-0', 'experts-1']));
  expect(up.processes).toHaveLength(8);
  expect((await asks()).stdout).toBe('This is a red apple.\n');
});

test('each shard says what it holds, how many rows it computed, and how much of its time that took', async () => {
  for (const service of ['experts-0', 'experts-1']) {
    const read = async (name: string, labels?: Record<string, string>) => {
      const response = await fetch(`http://${of(service)?.metrics}/metrics`);
      return sumMetric(await response.text(), name, labels);
    };
    expect(await read('tessera_shard_info', { role: 'experts' })).toBe(1);
    expect(await read('tessera_expert_shard_rows_total')).toBeGreaterThan(0);
    await eventually(async () => (await read('tessera_busy_seconds_total', { stage: 'experts' })) > 0, 'it was busy');
    expect(await read('tessera_busy_ratio', { stage: 'experts' })).toBeLessThanOrEqual(1);
  }
});

test('what was asked of each expert is taken from the engine, and a placement is planned for it', async () => {
  const bundle = await demoBundleDir('float32', 'experts');
  const counts = join(folder, 'counts.json');
  const from = ['--bundle', bundle, '--metrics', of('llm')?.metrics ?? ''];
  const counted = await tessera(['place', 'counts', ...from, '--seconds', '0', '--out', counts]);
  expect(counted.status, counted.stderr).toBe(0);
  const { layers } = JSON.parse(readFileSync(counts, 'utf8')) as { layers: number[][] };
  expect(layers.map((experts) => experts.length)).toEqual([8, 8, 8, 8, 8, 8]);
  // Each row goes to two experts, in every layer alike.
  const [rows, ...others] = layers.map((experts) => experts.reduce((sum, count) => sum + count, 0));
  expect(rows).toBeGreaterThan(0);
  expect(others).toEqual(others.map(() => rows));

  const planned = await tessera(['place', 'plan', '--bundle', bundle, '--nodes', '2x60Mi', '--counts', counts]);
  expect(planned.status, planned.stderr).toBe(0);
  expect(planned.stderr).not.toContain('made-up');

  // Nothing was asked meanwhile.
  const idle = await tessera(['place', 'counts', ...from, '--seconds', '1']);
  expect(idle).toMatchObject({ status: 2, stdout: '' });
  expect(idle.stderr).toContain('no rows were counted');

  // Beside an engine, too, whose rows would hide it.
  for (const [service, says] of [
    ['gateway', 'counts no experts'],
    ['experts-0', 'has never counted rows of experts'],
  ] as const) {
    const metrics = of(service)?.metrics ?? '';
    const strange = await tessera(['place', 'counts', ...from, '--metrics', metrics, '--seconds', '0']);
    expect(strange).toMatchObject({ status: 2, stdout: '' });
    expect(strange.stderr).toContain(`http://${metrics}/metrics ${says}: it is no engine's`);
  }
});

test('a shard that dies is started again, and what was asked meanwhile is answered', async () => {
  const shard = of('experts-1');
  process.kill(shard?.pid ?? 0, 'SIGKILL');
  expect((await asks()).stdout).toBe('This is a red apple.\n');
  expect(of('experts-1')?.pid).not.toBe(shard?.pid);
});

test('Ctrl-C drains all of it and leaves neither process nor placement', async () => {
  up.process.kill('SIGINT');
  expect(await up.ended).toBe(0);
  expect(up.pids.filter(isAlive)).toEqual([]);
});

test.each<[what: string, args: () => Promise<string[]>, status: number, says: RegExp]>([
  ['no shards', async () => ['--experts', '0'], 2, /whole number from 1/],
  ['more shards than experts', async () => ['--experts', '49'], 2, /48 experts, which 49 shards cannot share/],
  [
    'a model that is no mixture',
    async () => ['--experts', '2', '--model', await recitingLlama(folder, [1, 2, 3])],
    1,
    /no layers of routed experts/,
  ],
])('%s: refused with a sentence', async (_, args, status, says) => {
  const end = await tessera(['up', '--port', '0', '--cache', bundleCacheDir, ...(await args())]);
  expect(end.stderr).toMatch(says);
  expect(end.status).toBe(status);
});
