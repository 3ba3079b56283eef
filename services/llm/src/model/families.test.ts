import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bundle, readBundle } from '@tessera/bundle';
import { compileCheckpoint } from '@tessera/compiler';
import { copyCheckpoint, type Reference, readReference } from '@tessera/compiler/testing/conformance';
import { createBoundSession } from '@tessera/inference';
import { eventually } from '@tessera/testing/async/eventually';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createTestPool, oneThread, startTestShard } from '../testing/expert-shards.js';
import { localPipeline } from '../testing/local-pieces.js';
import { requireCut } from './expert-cut.js';
import type { ModelExecutor } from './model-executor.js';
import { MoeExecutor, openSections } from './moe-executor.js';
import { OnnxExecutor } from './onnx-executor.js';
import type { CacheLoad, CacheOperation, ComputedRow, PlannedRow, StepPlan } from './step-plan.js';

/** Toy models of test/conformance, one at least of each family that is no plain LLaMA. */
const mixtures = ['mixtral-top-1-window', 'mixtral-top-2', 'qwen2-moe', 'qwen2-moe-windows', 'qwen3-moe-window'];
const dense = ['internlm2-groups-dynamic', 'internlm3-biases', 'mistral-window', 'qwen2-sliding-layers'];
const cases = [
  ...mixtures.flatMap((name) => [{ name, cut: 'experts' } as const, { name, cut: 'layers=2' } as const]),
  ...dense.map((name) => ({ name, cut: 'layers=2' }) as const),
];

/** Those that are computed with a cache of float16, too: a mixture, and one that is cut by layers, both with windows. */
const withHalfCaches = ['qwen3-moe-window', 'mistral-window'];

const row = (slot: number, position: number, tokenIds: readonly number[], wantedLogits = 1): PlannedRow => {
  return { slot, position, tokenIds, media: [], wantedLogits, wantsHidden: true };
};

async function computed(executor: ModelExecutor, plan: StepPlan): Promise<ComputedRow[]> {
  const result = await executor.execute(plan);
  if (!('rows' in result)) throw 'noMemory' in result ? result.noMemory : result.cacheLost;
  return result.rows.map((each) => {
    if (!('logits' in each)) throw 'error' in each ? each.error : each.unavailable;
    return { logits: each.logits.slice(), hidden: each.hidden.slice() };
  });
}

const variants = cases.flatMap(({ name, cut }) => [
  { name, cut, kvCache: 'float32', nearness: 1e-3, chunkNearness: 1e-5 } as const,
  // In chunks a sum may be rounded otherwise, and so the key that is made of it.
  ...(withHalfCaches.includes(name)
    ? [{ name, cut, kvCache: 'float16', nearness: 2e-3, chunkNearness: 2e-3 } as const]
    : []),
]);

describe.each(variants)('$name, cut by $cut, cache in $kvCache', ({ name, cut, kvCache, nearness, chunkNearness }) => {
  let root = '';
  let bundle: Bundle;
  let reference: Reference;
  let size = { slots: 4, maxPositions: 0 };

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'tessera-families-'));
    const out = join(root, 'bundle');
    await compileCheckpoint(copyCheckpoint(name, root), out, { weights: 'float32', cut, kvCache });
    bundle = await readBundle(out);
    reference = await readReference(name);
    size = { slots: 4, maxPositions: reference.prompt.length + reference.continuation.length };
  });

  afterAll(() => rm(root, { recursive: true, force: true }));

  async function whole(): Promise<OnnxExecutor> {
    const { llm } = bundle.manifest;
    const executor = new OnnxExecutor(await createBoundSession(bundle.file(llm.graph), oneThread), llm, size);
    onTestFinished(() => executor.release());
    return executor;
  }

  /** The model over two shards of experts, each behind a server, or in two pieces of layers. */
  async function apart(): Promise<ModelExecutor> {
    if (cut !== 'experts') {
      const { executor } = await localPipeline(bundle, { ...size, stepsAtOnce: 1 });
      onTestFinished(() => executor.release());
      return executor;
    }
    const { llm } = bundle.manifest;
    const experts = requireCut(bundle);
    const numbers = Array.from({ length: experts.perLayer }, (_, number) => number);
    const half = (rest: number) => [{ layers: 'all', experts: numbers.filter((number) => number % 2 === rest) }];
    const placement = { revision: bundle.manifest.revision, epoch: 1, groups: { a: half(0), b: half(1) } };
    const shards = [await startTestShard(bundle, placement, 'a'), await startTestShard(bundle, placement, 'b')];
    const { pool, troubles } = await createTestPool(bundle, placement);
    pool.setShards(shards.map(({ address }) => address));
    const sections = await openSections(bundle, experts, oneThread);
    const executor = new MoeExecutor(sections, { ...llm, experts }, pool, size);
    onTestFinished(async () => {
      expect(troubles).toEqual([]);
      await executor.release();
      for (const shard of shards) await shard.stop();
    });
    const first = plan([row(0, 0, reference.prompt)]);
    await eventually(async () => {
      const result = await executor.execute(first);
      return 'rows' in result && result.rows.every((each) => 'logits' in each);
    }, 'all experts are there');
    return executor;
  }

  function plan(
    rows: readonly PlannedRow[],
    { operations = [], loads = [] }: { operations?: CacheOperation[]; loads?: CacheLoad[] } = {},
  ): StepPlan {
    return { cache: { operations, slots: size.slots, positions: size.maxPositions, loads }, rows };
  }

  const logits = (rows: readonly ComputedRow[], index: number): Float32Array => rows[index]?.logits as Float32Array;

  /** Where chunks of the prompt end: shorter ones and longer ones than most windows of the cases are. */
  const ends = [3, 12];

  /** The prompt in chunks, in a slot: what its last one gives. */
  async function inChunks(executor: ModelExecutor, slot: number): Promise<Float32Array> {
    const { prompt } = reference;
    await computed(executor, plan([row(slot, 0, prompt.slice(0, ends[0]))]));
    await computed(executor, plan([row(slot, ends[0] as number, prompt.slice(...ends))]));
    return logits(await computed(executor, plan([row(slot, ends[1] as number, prompt.slice(ends[1]))])), 0);
  }

  test('the prompt whole, in chunks, beside others, and from a beginning that was kept: the same logits', async () => {
    const { prompt, continuation, logits: expected, stepLogits } = reference;
    const executor = await whole();
    const { vocabSize } = bundle.manifest.llm;
    const everywhere = logits(await computed(executor, plan([row(0, 0, prompt, prompt.length)])), 0);
    expect(relativeErrors(everywhere, expected).max).toBeLessThan(nearness);
    const alone = everywhere.slice(-vocabSize);
    // Prompts of other lengths, padded together with it.
    const others = plan([row(0, 0, prompt.slice(4)), row(1, 0, prompt), row(2, 0, prompt.slice(0, 9))]);
    expect(logits(await computed(executor, others), 1)).toEqual(alone);
    const chunked = await inChunks(executor, 3);
    expect(relativeErrors(chunked, alone).max).toBeLessThan(chunkNearness);

    // Then the cache is another: the first of them is kept, and comes into the slot of one that is over.
    const begun = ends[1] as number;
    const loads: CacheLoad[] = [{ type: 'restore', prefix: 1, slot: 2, rows: begun }];
    const operations: CacheOperation[] = [{ type: 'keep', slot: 3, rows: begun, prefix: 1 }];
    const rest = plan([row(2, begun, prompt.slice(begun))], { operations, loads });
    expect(logits(await computed(executor, rest), 0)).toEqual(chunked);

    // All of them go on together, the one from the kept beginning and the one in chunks as if they were one.
    const next = continuation[0] as number;
    const decode = plan([1, 2, 3].map((slot) => row(slot, prompt.length, [next])));
    const decoded = await computed(executor, decode);
    expect(logits(decoded, 1)).toEqual(logits(decoded, 2));
    expect(relativeErrors(logits(decoded, 0), logits(decoded, 1)).max).toBeLessThan(chunkNearness);
    expect(relativeErrors(logits(decoded, 0), stepLogits.subarray(0, vocabSize)).max).toBeLessThan(nearness);
  });

  test('in pieces: the numbers of the whole, bit for bit', async () => {
    const { prompt, continuation } = reference;
    const [one, other] = [await whole(), await apart()];
    const steps: StepPlan[] = [
      plan([row(0, 0, prompt), row(1, 0, prompt.slice(5)), row(2, 0, prompt.slice(0, 4))]),
      plan([row(2, 4, prompt.slice(4)), row(3, 0, prompt.slice(7), 3)]),
      ...continuation
        .slice(0, 2)
        .map((token, at) => plan([row(0, prompt.length + at, [token]), row(1, prompt.length - 5 + at, [token])])),
    ];
    for (const [index, step] of steps.entries()) {
      expect(await computed(other, step), `step ${index}`).toEqual(await computed(one, step));
    }
  });
});
