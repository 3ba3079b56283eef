// Threads run built JavaScript, so the engine under test is the built one.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bundle, readBundle } from '@tessera/bundle';
import { demoBundleDir, goldenTensor } from '@tessera/compiler/testing/demo-model';
import { smallLlamaBundle } from '@tessera/compiler/testing/small-llama';
import { Llm, type LlmEngine, type ThreadedEngine } from '@tessera/llm';
import { GenerateRequest, TesseraError, TextOptions } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { goldenCase, goldenCases } from '@tessera/testing/demo-model/goldens';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { MissingExperts } from '../experts/missing-experts.js';
import type { PoolReport } from '../experts/pool-stats.js';
import type { LinksReport, MissingPieces } from '../layers/layer-links.js';
import { asked, collect, testLimits, user, wholePicture } from '../testing/demo-engine.js';
import { startTestShard } from '../testing/expert-shards.js';
import { startTestLayerShard } from '../testing/layer-shards.js';

let llm: Llm<ThreadedEngine>;
let nextId = 0;

const open = async (modelDir: string): Promise<Llm<ThreadedEngine>> =>
  Llm.inThread({ modelDir, session: { threads: 1, device: 'cpu' }, limits: testLimits });

beforeAll(async () => {
  llm = await open(await demoBundleDir());
});

afterAll(() => llm.close());

const ask = (partial: Partial<GenerateRequest>): GenerateRequest =>
  GenerateRequest.fromPartial({ requestId: `thread-${nextId++}`, attempt: 1, ...partial });
const soon = (): number => Date.now() + 60_000;

test('the thread answers as the engine in this one does, while this thread stays free', async () => {
  const picture = await goldenTensor('apple.visual_tokens');
  if (picture === undefined) throw new Error('no picture');
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const apple = goldenCases.filter(({ image }) => image === null || image === 'apple.png');
  const answers = await Promise.all(
    apple.map(({ image, question }) => {
      const content = image === null ? [question] : [0, question];
      const request = ask({ prompt: asked(user(...content)), media: image === null ? [] : [wholePicture] });
      const events = llm.generate(request, soon());
      const tile = { requestId: request.requestId, item: 0, tile: 0, tokens: picture, timings: [] };
      if (image !== null) llm.engine.provideTile(tile);
      return collect(events);
    }),
  );
  clearInterval(timer);
  for (const [index, { id, output_ids }] of apple.entries()) expect(answers[index]?.tokenIds, id).toEqual(output_ids);
  expect(turns).toBeGreaterThan(5);
  // Given away was a copy.
  expect(picture.data.length).toBe(9 * 256);
  expect(llm.engine.stats()).toMatchObject({ running: 0, waiting: 0, slotsInUse: 0, heldTiles: 0 });
});

test('errors cross with code, delay and field; cancel and failure reach their request', async () => {
  const requests = ['a', 'b'].map(() => ask({ prompt: asked(user(0, 'What is this?')), media: [wholePicture] }));
  const answers = requests.map((request) => collect(llm.generate(request, soon())));
  llm.engine.cancel(requests[0]?.requestId ?? '');
  const error = new TesseraError('QUEUE_FULL', 'the encoder is busy', {
    retryAfterMs: 77,
    field: 'media[0]',
    stage: 'encoder',
  });
  llm.engine.failTile({ requestId: requests[1]?.requestId ?? '', item: 0, attempt: 1, error });
  expect((await answers[0])?.error).toMatchObject({ code: 'CANCELLED' });
  expect((await answers[1])?.error).toMatchObject({
    code: 'QUEUE_FULL',
    options: { retryAfterMs: 77, field: 'media[0]', stage: 'encoder' },
  });
});

test('a reader who leaves frees the thread', async () => {
  const text = TextOptions.fromPartial({ maxTokens: 1500, temperature: 50, seed: 1n });
  for await (const event of llm.generate(ask({ prompt: asked(user('Hello!')), text }), soon())) {
    if (event.type === 'tokens') break;
  }
  const next = await collect(llm.generate(ask({ prompt: asked(user(goldenCase('text.0').question)) }), soon()));
  expect(next.tokenIds).toEqual(goldenCase('text.0').output_ids);
  expect(llm.engine.stats()).toMatchObject({ running: 0, waiting: 0 });
});

test('of an engine whose thread has ended nothing runs, waits or is held any more', async () => {
  const config = { modelDir: await demoBundleDir(), session: { threads: 1, device: 'cpu' as const } };
  const model = await Llm.inThread({ ...config, limits: { ...testLimits, maxRunning: 1 } });
  const text = TextOptions.fromPartial({ maxTokens: 1500, minTokens: 1500, temperature: 50, seed: 1n });
  const held = ask({ prompt: asked(user(0, 'What is this?')), media: [wholePicture] });
  const requests = [1, 2].map(() => ask({ prompt: asked(user('Hello!')), text })).concat(held);
  const answers = requests.map((request) => collect(model.generate(request, soon())));
  const before = () => model.engine.stats();
  await eventually(() => before().cacheUsage > 0 && before().waiting > 0 && before().waitingForTiles > 0, 'all stand');
  await model.close();
  const none = { running: 0, waiting: 0, waitingForTiles: 0, slotsInUse: 0, heldTiles: 0, cacheUsage: 0 };
  expect(model.engine.stats()).toMatchObject(none);
  for (const { error } of await Promise.all(answers)) expect(error).toMatchObject({ code: 'CANCELLED' });
});

test('a model that cannot be loaded refuses the start with its own error', async () => {
  await expect(open('/nowhere')).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
  const limits = { ...testLimits, maxStepTokens: 1 };
  const config = { modelDir: await demoBundleDir(), session: { threads: 1, device: 'cpu' as const }, limits };
  await expect(Llm.inThread(config)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

test('the same class without a thread gives the same answer', async () => {
  const config = {
    modelDir: await demoBundleDir(),
    session: { threads: 1, device: 'cpu' as const },
    limits: testLimits,
  };
  const direct: Llm<LlmEngine> = await Llm.inProcess(config);
  const { question, output_ids } = goldenCase('text.1');
  expect((await collect(direct.generate(ask({ prompt: asked(user(question)) }), soon()))).tokenIds).toEqual(output_ids);
  await direct.close();
});

const overShards = {
  rowType: 'float32',
  callTimeoutMs: 10_000,
  maxMessageBytes: 4 << 20,
  tls: { caFile: undefined, certFile: undefined, keyFile: undefined, serverName: undefined, refreshMs: 60_000 },
} as const;

async function placementFile(placement: unknown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tessera-thread-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'placement.json');
  await writeFile(path, JSON.stringify(placement));
  return path;
}

const configOf = ({ dir: modelDir }: Bundle) => ({
  modelDir,
  session: { threads: 1, device: 'cpu' as const },
  limits: testLimits,
});

test('the thread tells what happens at its expert shards: who is missing, what they computed, which one went', async () => {
  const bundle = await readBundle(await demoBundleDir('float32', 'experts'), ['llm']);
  const groups = { a: [{ layers: 'all', experts: 'all' }] };
  const placement = { revision: bundle.manifest.revision, epoch: 1, groups };
  const [reports, missing, troubles]: [PoolReport[], MissingExperts[], TesseraError[]] = [[], [], []];
  const model = await Llm.inThread(
    { ...configOf(bundle), experts: { ...overShards, hedge: false, placementFile: await placementFile(placement) } },
    {
      onExperts: (report) => reports.push(report),
      onExpertsMissing: (each) => missing.push(each),
      onExpertTrouble: (error) => troubles.push(error),
    },
  );
  onTestFinished(() => model.close());
  const { experts: cut } = bundle.manifest.llm;
  if (cut === undefined) throw new Error('the model has no experts');
  expect(missing.map(({ count }) => count)).toEqual([cut.layers.length * cut.perLayer]);

  const shard = await startTestShard(bundle, placement, 'a');
  onTestFinished(() => shard.stop());
  model.engine.setShards([shard.address]);
  await eventually(() => missing.at(-1)?.count === 0, 'all are held');
  const { question, output_ids } = goldenCase('text.0');
  const answer = await collect(model.generate(ask({ prompt: asked(user(question)) }), soon()));
  expect(answer.tokenIds).toEqual(output_ids);
  await model.engine.report();
  const { prefillTokens, decodeTokens } = model.engine.stats();
  const rows = reports.flatMap(({ routed }) => routed).reduce((sum, each) => sum + each.rows, 0);
  expect(rows).toBe((prefillTokens + decodeTokens) * cut.layers.length * cut.chosen);
  expect(reports.at(-1)?.running).toEqual([{ group: 'a', calls: 0 }]);
  // Each row is told once.
  await model.engine.report();
  expect(reports.at(-1)?.routed).toEqual([]);

  expect(troubles).toEqual([]);
  model.engine.setShards([shard.address, { ...shard.address, shardId: 'nowhere', address: '127.0.0.1:1' }]);
  await eventually(() => troubles.length > 0, 'one that is not there is told of');
  expect(troubles[0]?.message).toContain('127.0.0.1:1');
  model.engine.setShards([]);
  await eventually(() => missing.at(-1)?.count === cut.layers.length * cut.perLayer, 'nobody holds any more');
});

test('the thread tells what happens at its layer shards: what is missing, calls, which one went', async () => {
  const bundle = await smallLlamaBundle('layers=2');
  const [reports, missing, troubles]: [LinksReport[], MissingPieces[], TesseraError[]] = [[], [], []];
  const losses: TesseraError[] = [];
  const model = await Llm.inThread(
    { ...configOf(bundle), layers: { ...overShards, stepsAtOnce: 1, maxPositions: 1024 } },
    {
      onLayers: (report) => reports.push(report),
      onLayersMissing: (each) => missing.push(each),
      onLayerTrouble: (error) => troubles.push(error),
      onCacheLost: (error) => losses.push(error),
    },
  );
  onTestFinished(() => model.close());
  expect(missing.map(({ count }) => count)).toEqual([1]);

  const start = async () => {
    const shard = await startTestLayerShard(bundle, 1);
    onTestFinished(() => shard.stop());
    model.engine.setLayerShards([shard.address]);
    await eventually(() => missing.at(-1)?.count === 0, 'the piece is held');
    return shard;
  };
  const text = TextOptions.fromPartial({ maxTokens: 5 });
  const answered = () => collect(model.generate(ask({ prompt: asked(user('Hello!')), text }), soon()));
  const first = await start();
  const { tokenIds } = await answered();
  expect(tokenIds).toHaveLength(5);
  await model.engine.report();
  // One sequence: one call a step.
  expect(reports.flatMap(({ callSeconds }) => callSeconds)).toHaveLength(model.engine.stats().steps);
  expect(reports.at(-1)?.running).toEqual([{ piece: 1, calls: 0 }]);
  await model.engine.report();
  expect(reports.at(-1)?.callSeconds).toEqual([]);

  expect([troubles, losses]).toEqual([[], []]);
  await first.stop();
  await eventually(() => missing.at(-1)?.count === 1, 'nobody holds it any more');
  expect(troubles[0]?.message).toContain(first.address.address);
  await start();
  expect((await answered()).tokenIds).toEqual(tokenIds);
  expect(losses).toMatchObject([{ code: 'STAGE_UNAVAILABLE' }]);
  expect(model.engine.stats().cacheLosses).toBe(1);
});
