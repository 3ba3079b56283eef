import { type KvCacheType, kvCacheTypes, readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { createBoundSession } from '@tessera/inference';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { expect, onTestFinished, test } from 'vitest';
import { OnnxExecutor } from './onnx-executor.js';
import type { CacheLoad, CacheOperation, ComputedRow, PlannedRow, StepResult } from './step-plan.js';

async function executors(kvCache: KvCacheType): Promise<OnnxExecutor[]> {
  const bundle = await readBundle(await demoBundleDir('float32', undefined, kvCache));
  const { llm } = bundle.manifest;
  return await Promise.all(
    (['native', 'node'] as const).map(async (backend) => {
      const session = await createBoundSession(bundle.file(llm.graph), { threads: 1, device: 'cpu', backend });
      const executor = new OnnxExecutor(session, llm, { slots: 8, maxPositions: 512 });
      onTestFinished(() => executor.release());
      return executor;
    }),
  );
}

const random = seededRandom(7);
const ids = (count: number): number[] => Array.from({ length: count }, () => Math.floor(random() * 2000));
const row = (slot: number, position: number, count: number, wantsHidden = true, wantedLogits = 1): PlannedRow => {
  const rows = Float32Array.from({ length: count > 4 ? 2 * 256 : 0 }, () => random() - 0.5);
  const media = rows.length > 0 ? [{ column: 1, rows }] : [];
  return { slot, position, tokenIds: ids(count), media, wantedLogits, wantsHidden };
};

interface Step {
  readonly operations?: readonly CacheOperation[];
  readonly loads?: readonly CacheLoad[];
  readonly slots: number;
  readonly positions: number;
  readonly rows: readonly PlannedRow[];
}

const computed = (result: StepResult): ComputedRow[] => {
  if (!('rows' in result)) throw result;
  return result.rows.map((each) => {
    if (!('logits' in each)) throw 'error' in each ? each.error : each.unavailable;
    return each;
  });
};

test.each(kvCacheTypes)(
  'a cache of %s that is written in place, and one to which rows are appended, give the same numbers at each step',
  async (kvCache) => {
    const [native, node] = await executors(kvCache);
    const steps: Step[] = [
      // Beginnings of several lengths, some of which lie side by side.
      { slots: 5, positions: 33, rows: [row(0, 0, 33), row(1, 0, 20), row(2, 0, 1), row(4, 0, 9)] },
      { slots: 5, positions: 40, rows: [row(0, 33, 1), row(1, 20, 1), row(2, 1, 1), row(4, 9, 7), row(3, 0, 12)] },
      // The cache grows; one moves, two change places, one is kept.
      {
        operations: [
          { type: 'keep', slot: 0, rows: 30, prefix: 1 },
          { type: 'copy', from: 4, to: 2, rows: 16 },
          { type: 'swap', a: 0, b: 1, rows: 34 },
        ],
        slots: 6,
        positions: 90,
        rows: [row(0, 21, 1), row(1, 34, 1), row(2, 16, 1), row(3, 12, 70)],
      },
      // A kept beginning comes into a new slot, and what a slot has into another.
      {
        loads: [
          { type: 'restore', prefix: 1, slot: 6, rows: 25 },
          { type: 'copy', from: 3, to: 5, rows: 60 },
        ],
        slots: 7,
        positions: 90,
        rows: [row(5, 60, 5), row(6, 25, 6), row(0, 22, 1, false)],
      },
      // Logits at several positions, of beginnings together and of a chunk over a past.
      {
        slots: 7,
        positions: 90,
        rows: [row(1, 0, 4, true, 4), row(2, 0, 3), row(3, 0, 4, true, 2), row(0, 23, 3, true, 3)],
      },
      // It shrinks again.
      { operations: [{ type: 'drop', prefix: 1 }], slots: 2, positions: 36, rows: [row(0, 26, 1), row(1, 4, 1)] },
    ];
    for (const [index, { operations = [], loads = [], slots, positions, rows }] of steps.entries()) {
      const plan = { cache: { operations, loads, slots, positions }, rows };
      const [a, b] = [
        computed(await (native as OnnxExecutor).execute(plan)),
        computed(await (node as OnnxExecutor).execute(plan)),
      ];
      for (const [at, { wantsHidden, wantedLogits, tokenIds }] of rows.entries()) {
        const [mine, theirs] = [a[at], b[at]] as [ComputedRow, ComputedRow];
        expect(mine.logits.length, `step ${index}`).toBe(wantedLogits * (native as OnnxExecutor).vocabSize);
        expect(mine.hidden.length, `step ${index}`).toBe(wantsHidden ? tokenIds.length * 256 : 0);
        expect(relativeErrors(mine.logits, theirs.logits).max, `step ${index}, row ${at}`).toBeLessThan(1e-6);
        if (wantsHidden) expect(relativeErrors(mine.hidden, theirs.hidden).max).toBeLessThan(1e-6);
      }
    }
    expect(native?.cacheBytes).toEqual(node?.cacheBytes);
    expect(native?.cacheBytes.kept).toBe(0);
  },
);
