import type { Bundle } from '@tessera/bundle';
import { smallLlamaBundle } from '@tessera/compiler/testing/small-llama';
import { createBoundSession } from '@tessera/inference';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { localPipeline } from '../testing/local-pieces.js';
import type { ModelExecutor } from './model-executor.js';
import { OnnxExecutor } from './onnx-executor.js';
import type { CacheLoad, CacheOperation, ComputedRow, PlannedRow, StepPlan } from './step-plan.js';

const size = { slots: 8, maxPositions: 256 };
let bundles: Record<2 | 3 | 5, Bundle>;

beforeAll(async () => {
  const [two, three, five] = await Promise.all(
    (['layers=2', 'layers=3', 'layers=5'] as const).map((cut) => smallLlamaBundle(cut)),
  );
  bundles = { 2: two, 3: three, 5: five } as typeof bundles;
});

const random = seededRandom(11);
const ids = (count: number): number[] => Array.from({ length: count }, () => Math.floor(random() * 2000));
const row = (slot: number, position: number, count: number, wantsHidden = true, wantedLogits = 1): PlannedRow => {
  const rows = Float32Array.from({ length: count > 4 ? 2 * 64 : 0 }, () => random() - 0.5);
  return {
    slot,
    position,
    tokenIds: ids(count),
    media: rows.length > 0 ? [{ column: 1, rows }] : [],
    wantedLogits,
    wantsHidden,
  };
};

function step(
  slots: number,
  positions: number,
  rows: readonly PlannedRow[],
  { operations = [], loads = [] }: { operations?: readonly CacheOperation[]; loads?: readonly CacheLoad[] } = {},
): StepPlan {
  return { cache: { operations, slots, positions, loads }, rows };
}

const steps: StepPlan[] = [
  // Beginnings of several lengths, some of which lie side by side and are padded together.
  step(5, 33, [row(0, 0, 33), row(1, 0, 20), row(2, 0, 1), row(4, 0, 9)]),
  step(5, 40, [row(0, 33, 1), row(1, 20, 1), row(2, 1, 1), row(4, 9, 7), row(3, 0, 12)]),
  // The cache grows; one moves, two change places, one is kept.
  step(6, 90, [row(0, 21, 1), row(1, 34, 1), row(2, 16, 1), row(3, 12, 70, false)], {
    operations: [
      { type: 'keep', slot: 0, rows: 30, prefix: 1 },
      { type: 'copy', from: 4, to: 2, rows: 16 },
      { type: 'swap', a: 0, b: 1, rows: 34 },
    ],
  }),
  // A kept beginning comes into a new slot, and what a slot has into another.
  step(7, 90, [row(5, 60, 5), row(6, 25, 6), row(0, 22, 1, false), row(1, 35, 1), row(2, 17, 1), row(3, 82, 1)], {
    loads: [
      { type: 'restore', prefix: 1, slot: 6, rows: 25 },
      { type: 'copy', from: 3, to: 5, rows: 60 },
    ],
  }),
  // Logits at several positions, of beginnings together and of a chunk over a past.
  step(7, 90, [row(1, 0, 4, true, 4), row(2, 0, 3), row(3, 0, 4, true, 2), row(0, 23, 3, true, 3)]),
  step(2, 36, [row(0, 26, 1), row(1, 4, 1)], { operations: [{ type: 'drop', prefix: 1 }] }),
];

async function computed(executor: ModelExecutor, plan: StepPlan): Promise<ComputedRow[]> {
  const result = await executor.execute(plan);
  if (!('rows' in result)) throw 'noMemory' in result ? result.noMemory : result.cacheLost;
  return result.rows.map((each) => {
    if (!('logits' in each)) throw 'error' in each ? each.error : each.unavailable;
    return { logits: each.logits.slice(), hidden: each.hidden.slice() };
  });
}

async function whole(bundle: Bundle, backend: 'native' | 'node' = 'native'): Promise<OnnxExecutor> {
  const { llm } = bundle.manifest;
  const session = await createBoundSession(bundle.file(llm.graph), { threads: 1, device: 'cpu', backend });
  const executor = new OnnxExecutor(session, llm, size);
  onTestFinished(() => executor.release());
  return executor;
}

async function pieces(bundle: Bundle, stepsAtOnce = 1, backend: 'native' | 'node' = 'native') {
  const made = await localPipeline(bundle, { ...size, stepsAtOnce }, backend);
  onTestFinished(() => made.executor.release());
  return made;
}

test.each([
  [2, 1, 'native'],
  [3, 1, 'native'],
  [5, 1, 'native'],
  [3, 2, 'native'],
  [2, 1, 'node'],
] as const)(
  '%i pieces, decode in %i calls, %s: the numbers are those of the whole graph, bit for bit',
  async (count, calls, backend) => {
    const one = await whole(bundles[count], backend);
    const { executor } = await pieces(bundles[count], calls, backend);
    for (const [index, plan] of steps.entries()) {
      // That a row's numbers do not hang on who else decodes in its call is tested of the graph; here they are held to it, too.
      expect(await computed(executor, plan), `step ${index}`).toEqual(await computed(one, plan));
    }
    // The first piece's share.
    expect(executor.cacheBytes.slots).toBeLessThan(one.cacheBytes.slots);
    expect(executor.cacheBytes.kept).toBe(0);
  },
);

test.each([1, 2])(
  '%i steps at once have memory of their own for what they give, and later ones use it again',
  async (count) => {
    const { executor } = await pieces(bundles[2], count);
    const buffers: ArrayBufferLike[] = [];
    for (let n = 0; n < 3 * count; n++) {
      const result = await executor.execute(step(1, 16, [row(0, n, 1)]));
      const [given] = 'rows' in result ? result.rows : [];
      if (given === undefined || !('logits' in given)) throw new Error('nothing was computed');
      buffers.push(given.logits.buffer);
    }
    const own = buffers.slice(0, count);
    expect(new Set(own).size).toBe(count);
    for (const [n, buffer] of buffers.entries()) expect(buffer).toBe(own[n % count]);
  },
);

test.each(['away', 'replaced'] as const)(
  'a piece that is %s takes the cache with it, once, and what is computed anew is right',
  async (how) => {
    const one = await whole(bundles[3]);
    const { executor, others } = await pieces(bundles[3]);
    const changes: string[] = [];
    executor.onChange(() => changes.push(executor.missing?.message ?? 'all there'));
    const [first] = steps as [StepPlan];
    const expected = await computed(one, first);
    expect(await computed(executor, first)).toEqual(expected);
    await executor.execute(
      step(5, 40, [row(0, 33, 1)], { operations: [{ type: 'keep', slot: 0, rows: 30, prefix: 7 }] }),
    );
    expect(executor.cacheBytes.kept).toBeGreaterThan(0);
    others.lose(1, how);
    expect(executor.missing?.code).toBe(how === 'away' ? 'STAGE_UNAVAILABLE' : undefined);
    expect(await executor.execute(steps[1] as StepPlan)).toMatchObject({ cacheLost: { message: 'piece 2 is gone' } });
    expect(executor.cacheBytes.kept).toBe(0);
    if (how === 'away') {
      // Nothing of what a piece was not told can be computed, though it comes back before the end.
      const begun = executor.execute(first);
      others.comeBack();
      expect(await begun).toMatchObject({ cacheLost: { code: 'STAGE_UNAVAILABLE' } });
    }
    expect(executor.missing).toBeUndefined();
    expect(await computed(executor, first)).toEqual(expected);
    expect(changes.at(-1)).toBe('all there');
  },
);

test('a piece that is lost in the midst of a step makes nothing of the step count', async () => {
  const { executor, others } = await pieces(bundles[2]);
  const running = executor.execute(steps[0] as StepPlan);
  others.lose(0, 'replaced');
  expect(await running).toMatchObject({ cacheLost: { message: 'piece 1 is gone' } });
});

test('a piece computes nothing beyond the cache that was planned', async () => {
  const { others } = await pieces(bundles[2]);
  const [runner] = others.pieces;
  const hidden = new Float32Array(64);
  await runner?.prepare({ operations: [], slots: 2, positions: 16, loads: [] });
  for (const wrong of [[row(2, 0, 1)], [row(0, 16, 1)], [row(0, 1, 1), row(0, 1, 1)], [row(0, 0, 0)]]) {
    await expect(runner?.run(wrong, hidden)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  }
  expect(await runner?.run([row(1, 15, 1)], hidden)).toHaveLength(64);
});
