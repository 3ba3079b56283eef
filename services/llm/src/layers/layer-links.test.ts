import { type AddressInfo, createServer } from 'node:net';
import type { Bundle } from '@tessera/bundle';
import { smallLlamaBundle } from '@tessera/compiler/testing/small-llama';
import { createBoundSession } from '@tessera/inference';
import {
  LayerHoldings,
  LayerServiceDefinition,
  LayerServiceDescribeResponse,
  type RunRequest,
  type RunResponse,
  TesseraError,
} from '@tessera/protocol';
import { commonSettings, createLog, exchange, grpcService, startService } from '@tessera/service';
import { deferred } from '@tessera/testing/async/deferred';
import { eventually } from '@tessera/testing/async/eventually';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { OnnxExecutor } from '../model/onnx-executor.js';
import { PipelineExecutor } from '../model/pipeline-executor.js';
import type { ComputedRow, PlannedRow, StepPlan } from '../model/step-plan.js';
import { createTestLinks, startTestLayerShard, type TestLayerShardOptions } from '../testing/layer-shards.js';
import type { LayerLinksOptions } from './layer-links.js';

const size = { slots: 16, maxPositions: 256 };
const session = { threads: 1, device: 'cpu' } as const;

let bundle: Bundle;
beforeAll(async () => {
  bundle = await smallLlamaBundle('layers=3');
});

const row = (slot: number, position: number, count: number): PlannedRow => {
  const tokenIds = Array.from({ length: count }, (_, n) => 5 + slot * 7 + n);
  return { slot, position, tokenIds, media: [], wantedLogits: 1, wantsHidden: true };
};
const step = (rows: readonly PlannedRow[]): StepPlan => ({
  cache: { operations: [], slots: 4, positions: 200, loads: [] },
  rows,
});
const steps = [
  step([row(0, 0, 150), row(1, 0, 90), row(2, 0, 1)]),
  step([row(0, 150, 1), row(1, 90, 1), row(2, 1, 1), row(3, 0, 12)]),
  step([row(0, 151, 3), row(1, 91, 1), row(2, 2, 1), row(3, 12, 1)]),
];

async function shard(piece: number, options?: TestLayerShardOptions) {
  const started = await startTestLayerShard(bundle, piece, options);
  onTestFinished(() => started.stop());
  return started;
}

function linked(options: Partial<LayerLinksOptions> = {}) {
  const made = createTestLinks(bundle, options);
  onTestFinished(() => made.links.release());
  return made;
}

/** The executor over links, which the test closes with its end. */
async function executorOver(links: ReturnType<typeof linked>['links'], stepsAtOnce = 1) {
  const { head, pieces } = bundle.layerPieces;
  const open = (graph: string) => createBoundSession(bundle.file(graph), { ...session, runs: 'in-pool' });
  const ends = { first: await open(pieces[0]?.graph ?? ''), head: await open(head) };
  const executor = new PipelineExecutor(ends, bundle.manifest.llm, links, { ...size, stepsAtOnce });
  onTestFinished(() => executor.release());
  return executor;
}

async function whole(): Promise<OnnxExecutor> {
  const { llm } = bundle.manifest;
  const executor = new OnnxExecutor(await createBoundSession(bundle.file(llm.graph), session), llm, size);
  onTestFinished(() => executor.release());
  return executor;
}

async function computed(executor: OnnxExecutor | PipelineExecutor, plan: StepPlan): Promise<ComputedRow[]> {
  const result = await executor.execute(plan);
  if (!('rows' in result)) throw 'noMemory' in result ? result.noMemory : result.cacheLost;
  return result.rows.map((each) => {
    if (!('logits' in each)) throw 'error' in each ? each.error : each.unavailable;
    return { logits: each.logits.slice(), hidden: each.hidden.slice() };
  });
}

test.each([1, 3])('shards give what one process gives, bit for bit; decode in %i calls', async (calls) => {
  const shards = [await shard(1), await shard(2)];
  const { links, missing, troubles } = linked();
  const executor = await executorOver(links, calls);
  expect(executor.missing).toMatchObject({ code: 'STAGE_UNAVAILABLE', message: expect.stringContaining('piece 1') });
  links.setShards(shards.map(({ address }) => address));
  await eventually(() => executor.missing === undefined, 'both are there');
  const one = await whole();
  for (const plan of steps) expect(await computed(executor, plan)).toEqual(await computed(one, plan));
  expect(missing.at(-1)).toMatchObject({ count: 0 });
  expect(troubles).toEqual([]);
  const { calls: told, callSeconds, running } = links.report();
  expect(callSeconds.length).toBeGreaterThanOrEqual(2 * steps.length);
  expect(running).toEqual([
    { piece: 1, calls: 0 },
    { piece: 2, calls: 0 },
  ]);
  expect(told.map(({ piece }) => piece).sort()).toEqual([1, 2]);
  // Each is told once.
  expect(links.report()).toEqual({ calls: [], callSeconds: [], running });
});

test('hidden states that do not fit into one message travel in parts, both ways', async () => {
  const shards = [await shard(1), await shard(2)];
  const { links } = linked({ positions: 4096 });
  links.setShards(shards.map(({ address }) => address));
  const executor = await executorOver(links);
  await eventually(() => executor.missing === undefined, 'both are there');
  // One call of 2,500 hidden states of 256 bytes; parts have 512 KiB.
  const rows = Array.from({ length: 10 }, (_, slot) => row(slot, 0, 250));
  const plan: StepPlan = { cache: { operations: [], slots: 10, positions: 256, loads: [] }, rows };
  expect(await computed(executor, plan)).toEqual(await computed(await whole(), plan));
  expect(links.report().calls).toMatchObject([{ positions: 2500 }, { positions: 2500 }]);
});

test('float16 on the way rounds, and no more', async () => {
  const shards = [await shard(1), await shard(2)];
  const { links } = linked({ rowType: 'float16' });
  links.setShards(shards.map(({ address }) => address));
  const executor = await executorOver(links);
  await eventually(() => executor.missing === undefined, 'both are there');
  const [plan] = steps as [StepPlan];
  const [mine, theirs] = [await computed(executor, plan), await computed(await whole(), plan)];
  for (const [at, { logits }] of theirs.entries()) {
    const { max } = relativeErrors(mine[at]?.logits as Float32Array, logits);
    expect(max).toBeGreaterThan(0);
    expect(max).toBeLessThan(0.02);
  }
});

test('addresses where nobody says anything are given up, one after the other, for one where somebody does', async () => {
  const silent = await Promise.all(
    [1, 2].map(async (n) => {
      const server = createServer(() => {});
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      onTestFinished(() => void server.close());
      const { port } = server.address() as AddressInfo;
      return { shardId: `silent ${n}`, address: `127.0.0.1:${port}`, piece: 2, freePositions: 1 };
    }),
  );
  const [one, two] = [await shard(1), await shard(2)];
  const { links, troubles } = linked({ callTimeoutMs: 300 });
  links.setShards([one.address, ...silent]);
  await eventually(() => troubles.length >= 2, 'both are given up');
  for (const [at, { address }] of silent.entries()) {
    expect(troubles[at]).toMatchObject({
      code: 'STAGE_UNAVAILABLE',
      message: expect.stringMatching(`${address} .*within 300 ms`),
    });
  }
  expect(links.missing?.message).toContain('within 300 ms');
  links.setShards([one.address, two.address]);
  await eventually(() => links.missing === undefined, 'the other one is taken');
  expect(links.losses.count).toBe(0);
});

test('a shard that shuts down is left at once where there is another one: the cache is lost, and computed again', async () => {
  const [one, leaving, other] = [await shard(1), await shard(2), await shard(2)];
  const { links, troubles } = linked();
  links.setShards([one.address, leaving.address]);
  const executor = await executorOver(links);
  await eventually(() => executor.missing === undefined, 'both are there');
  const [plan] = steps as [StepPlan];
  const expected = await computed(await whole(), plan);
  expect(await computed(executor, plan)).toEqual(expected);
  links.setShards([one.address, other.address]);
  await leaving.stop();
  await eventually(() => executor.missing === undefined, 'the other one is there');
  expect(links.losses.count).toBe(1);
  expect(await executor.execute(plan)).toMatchObject({ cacheLost: { message: expect.stringContaining('shuts down') } });
  expect(await computed(executor, plan)).toEqual(expected);
  expect(troubles).toHaveLength(1);
});

test('a shard that shuts down is not left for one that has no room', async () => {
  const [one, leaving, full] = [await shard(1), await shard(2), await shard(2)];
  const { links } = linked();
  links.setShards([one.address, leaving.address]);
  const executor = await executorOver(links);
  await eventually(() => executor.missing === undefined, 'both are there');
  const [plan] = steps as [StepPlan];
  const expected = await computed(executor, plan);
  links.setShards([one.address, { ...full.address, freePositions: 2047 }]);
  leaving.shard.drain();
  const stopped = leaving.stop();
  for (let step = 0; step < 5; step++) expect(await computed(executor, plan)).toEqual(expected);
  expect(links.losses.count).toBe(0);
  links.setShards([one.address, full.address]);
  await eventually(() => links.losses.count === 1 && links.missing === undefined, 'the one with room is taken');
  await stopped;
});

test('a shard that shuts down alone ends once it is quiet', async () => {
  const [one, alone] = [await shard(1), await shard(2)];
  const { links } = linked();
  links.setShards([one.address, alone.address]);
  await eventually(() => links.missing === undefined, 'both are there');
  links.setShards([one.address]);
  await alone.stop();
  await eventually(() => links.missing !== undefined, 'it is gone');
  expect(links.losses).toMatchObject({ count: 1, last: { code: 'STAGE_UNAVAILABLE' } });
});

test('a shard that shuts down in the midst of a step, however long the engine computes itself, is left after it', async () => {
  const alone = await shard(1);
  const { links } = linked();
  links.setShards([alone.address]);
  const [piece] = links.pieces;
  await eventually(() => piece?.isReady === true, 'it is there');
  await piece?.prepare((steps[0] as StepPlan).cache);
  const stopped = alone.stop();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(await piece?.run([row(0, 0, 1)], new Float32Array(64).fill(0.5))).toHaveLength(64);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(links.losses.count).toBe(0);
  links.rest();
  await stopped;
  expect(links.losses).toMatchObject({ count: 1, last: { message: expect.stringContaining('shuts down') } });
});

test('a shard without room is told once, and one that has room is taken', async () => {
  const [one, small] = [await shard(1), await shard(2, { kvBytes: 4096 })];
  const { links, troubles } = linked();
  links.setShards([one.address, small.address]);
  await eventually(() => troubles.length === 1, 'it is told');
  expect(troubles[0]).toMatchObject({ code: 'QUEUE_FULL', message: expect.stringContaining('kv.maxBytes') });
  expect(links.missing?.message).toContain('kv.maxBytes');
  const large = await shard(2);
  links.setShards([one.address, small.address, large.address]);
  await eventually(() => links.missing === undefined, 'the large one is taken');
  expect(troubles).toHaveLength(1);
  expect(links.losses.count).toBe(0);
});

/** What passes for the shard of the second piece: it has room, and on everything else it says what the test has it say. */
async function scriptedShard(onOther: () => void) {
  const run = exchange<RunRequest, RunResponse>((stream) => ({
    onMessage: ({ message }) => {
      if (message?.$case !== 'start') onOther();
      else stream.send({ message: { $case: 'holdings', value: LayerHoldings.fromPartial({ piece: 2 }) } });
      return undefined;
    },
    onHalfClose: () => stream.end(),
    onClose: () => {},
  }));
  const describe = async () => LayerServiceDescribeResponse.fromPartial({});
  const scripted = await startService(
    {
      name: 'scripted',
      settings: commonSettings,
      start: async () => ({ services: [grpcService(LayerServiceDefinition, { describe, run })], stop: async () => {} }),
    },
    { 'model.dir': bundle.dir },
    { log: createLog({ service: 'scripted', level: 'fatal', format: 'json' }) },
  );
  onTestFinished(() => scripted.stop());
  return { shardId: 'scripted', address: scripted.grpcAddress, piece: 2, freePositions: 4096 };
}

test('a shard that was ready, and then says nothing at all, is given up', async () => {
  const { links } = linked({ callTimeoutMs: 400 });
  links.setShards([await scriptedShard(() => {})]);
  const piece = links.pieces[1];
  await eventually(() => piece?.isReady === true, 'it is there');
  const answer = piece?.prepare((steps[0] as StepPlan).cache);
  await expect(answer).rejects.toThrow('did not answer within 400 ms');
});

test('a shard that takes streams and ends them at each plan is tried ever more rarely', async () => {
  const one = await shard(1);
  const address = await scriptedShard(() => {
    throw new TesseraError('INTERNAL', 'it will not');
  });
  const { links } = linked();
  const ask = (): void => {
    if (links.missing === undefined)
      void links.pieces[1]?.prepare(steps[0]?.cache as StepPlan['cache']).catch(() => {});
  };
  links.onChange(ask);
  links.setShards([one.address, address]);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  // Pauses of 50, 100, 200, 400 and 800 ms.
  expect(links.losses.count).toBeGreaterThan(0);
  expect(links.losses.count).toBeLessThanOrEqual(5);
});

/** A shard that computes nothing before it is let. */
async function heldShard(options: TestLayerShardOptions = {}) {
  const begun = deferred<void>();
  const let_ = deferred<void>();
  const beforeRun = (): Promise<void> => {
    begun.resolve();
    return let_.promise;
  };
  return { ...(await shard(1, { ...options, beforeRun })), begun: begun.promise, go: () => let_.resolve() };
}

test('a shard that is busy, with another engine too, is waited for', async () => {
  const held = await heldShard();
  const engines = [linked({ callTimeoutMs: 400 }), linked({ callTimeoutMs: 400 })];
  const [plan] = steps as [StepPlan];
  const hidden = new Float32Array(64 * 150).fill(0.5);
  const answers = engines.map(async ({ links }) => {
    links.setShards([held.address]);
    const [piece] = links.pieces;
    await eventually(() => piece?.isReady === true, 'it is there');
    await piece?.prepare(plan.cache);
    return await piece?.run(plan.rows.slice(0, 1), hidden);
  });
  await held.begun;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  held.go();
  const [one, two] = await Promise.all(answers);
  expect(two).toEqual(one);
  for (const { links } of engines) expect(links.losses.count).toBe(0);
});

test('a shard in which one computation hangs gives no sign of life, and is given up', async () => {
  const held = await heldShard({ stallMs: 200 });
  const { links } = linked({ callTimeoutMs: 400 });
  links.setShards([held.address]);
  const [piece] = links.pieces;
  await eventually(() => piece?.isReady === true, 'it is there');
  await piece?.prepare((steps[0] as StepPlan).cache);
  const answer = piece?.run([row(0, 0, 1)], new Float32Array(64));
  await expect(answer).rejects.toThrow('did not answer within 400 ms');
  // Its cache is there until what was asked for is computed.
  held.go();
  await eventually(() => piece?.isReady === true, 'it is taken again');
});

test('a shard whose graph fails is left for another one of its piece, and no call fails by it', async () => {
  let isSick = false;
  const beforeRun = async (): Promise<void> => {
    if (isSick) throw new Error('the device is gone');
  };
  const [one, sick] = [await shard(1), await shard(2, { beforeRun })];
  const { links, troubles } = linked({ callTimeoutMs: 2000 });
  links.setShards([one.address, sick.address]);
  const executor = await executorOver(links);
  await eventually(() => executor.missing === undefined, 'both are there');
  const [plan] = steps as [StepPlan];
  const expected = await computed(await whole(), plan);
  expect(await computed(executor, plan)).toEqual(expected);
  const healthy = await shard(2);
  links.setShards([one.address, sick.address, healthy.address]);
  isSick = true;
  expect(await executor.execute(plan)).toMatchObject({
    cacheLost: { code: 'STAGE_UNAVAILABLE', message: expect.stringContaining('the device is gone') },
  });
  await eventually(() => executor.missing === undefined, 'the other one is taken');
  expect(await computed(executor, plan)).toEqual(expected);
  expect(links.losses.count).toBe(1);
  expect(troubles).toHaveLength(1);
  // Nor is that one given up for what the first was still waited for.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  expect([links.losses.count, links.missing]).toEqual([1, undefined]);
});
