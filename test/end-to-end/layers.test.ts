import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { smallLlamaBundle } from '@tessera/compiler/testing/small-llama';
import { eventually } from '@tessera/testing/async/eventually';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { ask, type Turn } from '../support/ask.js';
import { LayeredDeployment } from '../support/layered-deployment.js';

const text = { temperature: 1, seed: 9n, maxTokens: 48, minTokens: 48 };
const limits = ['--engine-max-running', '4', '--kv-max-bytes', '4000000'];

/** Questions at once, then a conversation that goes on. */
async function answers({ gateway }: LayeredDeployment): Promise<string[]> {
  const questions = ['Hello!', 'What is a cat?', 'Count to five, please, and then back to one.'];
  const first = await Promise.all(
    questions.map(async (words) => (await ask(gateway, [{ says: [words] }], { text })).text),
  );
  const turns: Turn[] = [
    { says: [questions[2] as string] },
    { role: 'assistant', says: [first[2] as string] },
    { says: ['And once more?'] },
  ];
  return [...first, (await ask(gateway, turns, { text })).text];
}

let dirs: Record<2 | 4, string>;
let expected: string[] = [];

beforeAll(async () => {
  const [two, four] = await Promise.all([smallLlamaBundle('layers=2'), smallLlamaBundle('layers=4')]);
  dirs = { 2: two.dir, 4: four.dir };
  await using whole = await LayeredDeployment.start({ bundleDir: dirs[4], pieces: 1 });
  expected = await answers(whole);
});

test.each([2, 4] as const)('a model in %i processes answers as in one', async (pieces) => {
  await using deployment = await LayeredDeployment.start({ bundleDir: dirs[pieces], pieces, engine: limits });
  expect(await answers(deployment)).toEqual(expected);
  expect(await deployment.metric('tessera_kv_cache_losses_total')).toBe(0);
  expect(await deployment.metric('tessera_layer_call_seconds_count')).toBeGreaterThan(48 * (pieces - 1));
  const shard = deployment.shards.get(1);
  expect(await deployment.metric('tessera_layer_shard_positions_total', {}, shard)).toBeGreaterThan(4 * 48);
  expect(await deployment.metric('tessera_shard_info', { role: 'layers', part: '1' }, shard)).toBe(1);
  const busy = () => deployment.metric('tessera_busy_seconds_total', { stage: 'layers' }, shard);
  await eventually(async () => (await busy()) > 0, 'the shard has said what it computed');
  const held = await deployment.metric('tessera_kv_cache_bytes', {}, shard);
  expect(held).toBeGreaterThan(0);
  expect(held).toBeLessThanOrEqual(await deployment.metric('tessera_kv_cache_limit_bytes', {}, shard));
});

test('each process needs the files of its piece, and no others', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tessera-carried-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const bundle = await readBundle(dirs[2]);
  const carried = [0, 1].map((piece) => join(folder, String(piece)));
  for (const [piece, dir] of carried.entries()) {
    for (const file of ['bundle.json', ...bundle.filesOfLayers(piece)])
      await cp(join(bundle.dir, file), join(dir, file));
  }
  await using deployment = await LayeredDeployment.start({ bundleDir: dirs[2], carried, pieces: 2, engine: limits });
  expect(await answers(deployment)).toEqual(expected);
});

test('a shard that stands still is given up for another one, and no answer differs', async () => {
  const engine = [...limits, '--layers-call-timeout-ms', '1000'];
  await using deployment = await LayeredDeployment.start({ bundleDir: dirs[2], pieces: 2, engine });
  const spare = await deployment.startShard(1);
  const asked = answers(deployment);
  // The engine has taken one of the two: the one that has fewer positions left.
  const stuck = deployment.shards.get(1);
  await eventually(async () => (await deployment.metric('tessera_requests_running')) > 0, 'it answers');
  const pids = [stuck, spare].map((each) => each?.ready.pid as number);
  const busy = await Promise.all([stuck, spare].map((each) => deployment.metric('tessera_kv_cache_bytes', {}, each)));
  const pid = pids[busy[0] === 0 ? 1 : 0] as number;
  process.kill(pid, 'SIGSTOP');
  try {
    expect(await asked).toEqual(expected);
    expect(await deployment.metric('tessera_kv_cache_losses_total')).toBe(1);
    expect(deployment.logs.some((line) => line.includes('did not answer within 1000 ms'))).toBe(true);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
});

test('a shard has room for two engines, and a third one waits and says what to set', async () => {
  const bundleDir = dirs[2];
  // Piece 1 has four layers or fewer: 256 bytes a layer and position.
  const shard = ['--kv-max-bytes', String(600 * 256 * 4)];
  await using deployment = await LayeredDeployment.start({ bundleDir, pieces: 2, engine: limits, shard });
  const said = (await ask(deployment.gateway, [{ says: ['Hello!'] }], { text })).text;
  expect(said).toBe(expected[0]);
  const successor = deployment.begin('llm', ['--layers-remote', 'true', ...limits]);
  await successor.started;
  const { service, started } = deployment.begin('llm', ['--layers-remote', 'true']);
  await eventually(
    () => deployment.logs.some((line) => /has [01] of \d+; set the shard's kv.maxBytes or/.test(line)),
    'the third engine says why it waits',
  );
  // One that waits ends at once when it is told to.
  await service.stop(10_000);
  await expect(started).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  expect((await ask(deployment.gateway, [{ says: ['Hello!'] }], { text })).text).toBe(said);
});

test('an engine waits for its shards, and each process says what is wrong with its settings', async () => {
  const whole = await demoBundleDir();
  await using deployment = await LayeredDeployment.start({ bundleDir: dirs[2], pieces: 1 });
  const { service } = deployment.begin('llm', ['--layers-remote', 'true']);
  await eventually(
    () => deployment.logs.some((line) => line.includes('waiting for a layer shard of piece 1 (layer')),
    'it says what it waits for',
  );
  await service.stop(10_000);
  const fails = async (flags: readonly string[], message: string, bundleDir?: string): Promise<void> => {
    await expect(deployment.begin('llm', flags, bundleDir).started).rejects.toMatchObject({
      message: expect.stringContaining(message),
    });
  };
  await fails(
    ['--role', 'layers'],
    'layers.piece is not given; of this bundle a layer shard holds a piece from 1 to 1',
  );
  await fails(['--role', 'layers', '--layers-piece', '2'], 'layers.piece is 2');
  await fails(['--role', 'layers', '--layers-piece', '1'], 'compile it with --cut layers=N', whole);
  await fails(['--layers-remote', 'true'], 'compile it with --cut layers=N', whole);
  await fails(
    ['--layers-remote', 'true', '--experts-placement-file', '/tmp/none.json'],
    'cut by its experts or by its layers',
  );
});
