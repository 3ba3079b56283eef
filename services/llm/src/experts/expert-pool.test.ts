import { setTimeout as pause } from 'node:timers/promises';
import { type Bundle, readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { type ExpertBatch, TesseraError } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { beforeAll, expect, test } from 'vitest';
import type { ExpertAnswer, ExpertWork } from '../model/expert-provider.js';
import { createTestPool, oneThread, startTestShard, type TestShard } from '../testing/expert-shards.js';
import type { ExpertPool } from './expert-pool.js';
import { parsePlacement } from './placement.js';
import { ExpertShard } from './shard/expert-shard.js';

let bundle: Bundle;
let revision = '';

beforeAll(async () => {
  bundle = await readBundle(await demoBundleDir('float32', 'experts'), ['llm']);
  revision = bundle.manifest.revision;
});

const width = 256;
const even = { layers: 'all', experts: [0, 2, 4, 6] };
const odd = { layers: 'all', experts: [1, 3, 5, 7] };
const every = { layers: 'all', experts: 'all' };
const apart = (epoch = 1) => ({ revision, epoch, groups: { a: [even], b: [odd] } });

const random = seededRandom(5);
const rows = Float32Array.from({ length: 12 * width }, () => random() - 0.5);
/** Each row to two experts. */
const work: ExpertWork[] = Array.from({ length: 8 }, (_, expert) => ({
  expert,
  rows: [expert, (expert + 3) % 12, (expert + 7) % 12],
}));

function numbers(answers: readonly ExpertAnswer[]): Float32Array[] {
  return answers.map((answer) => {
    if ('unavailable' in answer) throw answer.unavailable;
    return answer.answers.slice();
  });
}

/** What all experts in one thread give. */
async function expected(layer: number): Promise<Float32Array[]> {
  const { pool } = await createTestPool(bundle, { revision, epoch: 1, engine: [every], groups: {} });
  const answers = numbers(await step(pool, layer));
  await pool.release();
  return answers;
}

async function step(pool: ExpertPool, layer: number): Promise<readonly ExpertAnswer[]> {
  pool.beginStep();
  const answers = await pool.compute(layer, rows, work);
  pool.endStep();
  return answers;
}

async function whole(pool: ExpertPool): Promise<void> {
  await eventually(async () => {
    return (await step(pool, 0)).every((answer) => 'answers' in answer);
  }, 'all experts are there');
}

const told = (...shards: TestShard[]) => shards.map(({ address }) => address);

test('two shards and the engine itself give what one thread gives, bit for bit; in float16 nearly', async () => {
  const placement = { ...apart(), engine: [{ layers: [2], experts: [0, 1] }] };
  await using a = await startTestShard(bundle, placement, 'a');
  await using b = await startTestShard(bundle, placement, 'b');
  for (const rowType of ['float32', 'float16'] as const) {
    const { pool, troubles } = await createTestPool(bundle, placement, { rowType });
    pool.setShards(told(a, b));
    await whole(pool);
    for (const layer of [0, 2]) {
      const [given, wanted] = [numbers(await step(pool, layer)), await expected(layer)];
      if (rowType === 'float32') expect(given).toEqual(wanted);
      for (const [at, numbersOf] of given.entries())
        for (const [i, value] of numbersOf.entries())
          expect(Math.abs(value - (wanted[at]?.[i] as number))).toBeLessThan(2e-3);
    }
    const { routed, callSeconds, failovers } = pool.report();
    expect(routed.filter(({ layer }) => layer === 2).map(({ rows: count }) => count)).toEqual(Array(8).fill(3));
    expect(callSeconds.length).toBeGreaterThan(2);
    expect(failovers).toBe(0);
    expect(troubles).toEqual([]);
    await pool.release();
  }
});

test('more rows than a message may hold go in several', async () => {
  await using a = await startTestShard(bundle, apart(), 'a');
  const { pool } = await createTestPool(bundle, { ...apart(), engine: [odd] });
  pool.setShards(told(a));
  const many = Float32Array.from({ length: 2500 * width }, (_, i) => Math.sin(i));
  const all = [
    { expert: 4, rows: Array.from({ length: 2500 }, (_, n) => n) },
    { expert: 6, rows: [7, 8] },
  ];
  await whole(pool);
  const [given] = numbers(await pool.compute(1, many, all));
  const last = numbers(await pool.compute(1, many, [{ expert: 4, rows: [2499] }]))[0];
  expect(given).toHaveLength(many.length);
  expect(given?.slice(-width)).toEqual(last);
  await pool.release();
});

test('a shard that goes is stepped in for by another holder; without one, only its own experts are missing', async () => {
  const placement = { revision, epoch: 1, groups: { a: [every], b: [odd] } };
  const a = await startTestShard(bundle, placement, 'a');
  await using b = await startTestShard(bundle, placement, 'b');
  const { pool } = await createTestPool(bundle, placement);
  pool.setShards(told(a, b));
  await whole(pool);
  const wanted = await expected(3);
  await a.stop();
  pool.report();
  const answers = await step(pool, 3);
  for (const [expert, answer] of answers.entries()) {
    if (expert % 2 === 0) expect(answer).toMatchObject({ unavailable: { code: 'STAGE_UNAVAILABLE' } });
    else expect(answer).toEqual({ answers: wanted[expert] });
  }
  expect(pool.report().unavailableRows).toBe(12);
  // Its successor.
  await using again = await startTestShard(bundle, placement, 'a');
  pool.setShards(told(again, b));
  await whole(pool);
  expect(numbers(await step(pool, 3))).toEqual(wanted);
  await pool.release();
});

test('a shard that is still announced is tried again until it is there, and it is told of once', async () => {
  const placement = { revision, epoch: 1, groups: { a: [every] } };
  const first = await startTestShard(bundle, placement, 'a');
  const missing: number[] = [];
  const { pool, troubles } = await createTestPool(bundle, placement, { onMissing: ({ count }) => missing.push(count) });
  const { address } = first.address;
  const again = async () => {
    return await startTestShard(bundle, placement, 'a', undefined, { 'grpc.port': Number(address.split(':')[1]) });
  };
  pool.setShards(told(first));
  await whole(pool);
  await first.stop();
  await eventually(() => missing.at(-1) === 48, 'it is gone');
  await using second = await again();
  await eventually(() => missing.at(-1) === 0, 'one is there at the same address');
  expect(numbers(await step(pool, 1))).toEqual(await expected(1));
  // It went in peace.
  expect(troubles).toEqual([]);
  await pool.release();
  await second.stop();

  const { pool: early, troubles: refusals } = await createTestPool(bundle, placement);
  early.setShards(told(first));
  await eventually(() => refusals.length > 0, 'nobody is there');
  await using third = await again();
  await whole(early);
  expect(refusals).toHaveLength(1);
  await early.release();
  await third.stop();
});

/** A shard whose answers wait when they are told to. */
class SlowShard extends ExpertShard {
  waitMs = 0;

  override async compute(batch: ExpertBatch) {
    if (this.waitMs > 0) await pause(this.waitMs);
    return super.compute(batch);
  }
}

test('a call that takes longer than its like is sent to another holder too, whose answer counts', async () => {
  const placement = { revision, epoch: 1, groups: { a: [every], b: [every] } };
  let slow: SlowShard | undefined;
  await using a = await startTestShard(bundle, placement, 'a', (of) => {
    slow = new SlowShard(of, oneThread, 'a');
    return slow;
  });
  await using b = await startTestShard(bundle, placement, 'b');
  const { pool } = await createTestPool(bundle, placement);
  pool.setShards(told(a, b));
  await whole(pool);
  for (let n = 0; n < 150; n++) await step(pool, n % 6);
  pool.report();
  (slow as unknown as SlowShard).waitMs = 3000;
  expect(numbers(await step(pool, 5))).toEqual(await expected(5));
  expect(pool.report().hedges).toBeGreaterThan(0);
  (slow as unknown as SlowShard).waitMs = 0;
  await pool.release();
});

/** A shard that has lost a layer, and has not said so. */
class ForgetfulShard extends ExpertShard {
  asked = 0;

  override async compute(batch: ExpertBatch) {
    if (batch.layer !== 2) return super.compute(batch);
    this.asked++;
    throw new TesseraError('EXPERT_NOT_HELD', 'it is gone');
  }
}

test('a shard that says it has not what it said it had is not asked for that again, and for the rest it is', async () => {
  const placement = { revision, epoch: 1, groups: { a: [every], b: [every] } };
  const forgetful = new ForgetfulShard(bundle, oneThread, 'a');
  await using a = await startTestShard(bundle, placement, 'a', () => forgetful);
  await using b = await startTestShard(bundle, placement, 'b');
  let misplaced = 0;
  const missing: number[] = [];
  const { pool } = await createTestPool(bundle, placement, {
    hedge: false,
    onMisplaced: () => misplaced++,
    onMissing: ({ count }) => missing.push(count),
  });
  pool.setShards(told(a, b));
  await eventually(() => missing.at(-1) === 0, 'both are there');
  const wanted = await expected(2);
  // A step may ask the other one for some of them: after as many steps as there are experts it was asked for each.
  for (let n = 0; n < 8; n++) expect(numbers(await step(pool, 2))).toEqual(wanted);
  const { asked } = forgetful;
  expect(asked).toBeGreaterThan(0);
  expect([misplaced, pool.report().failovers]).toEqual([asked, asked]);
  for (let n = 0; n < 4; n++) await step(pool, 2);
  expect(forgetful.asked).toBe(asked);
  expect(pool.report().failovers).toBe(0);
  expect(numbers(await step(pool, 3))).toEqual(await expected(3));
  // Once the other one is gone nobody has them.
  pool.setShards(told(a));
  await eventually(async () => (await step(pool, 2)).every((answer) => 'unavailable' in answer), 'they are missing');
  expect(forgetful.asked).toBe(asked);
  expect(missing.at(-1)).toBe(8);
  await pool.release();
});

test('what is under way as the engine ends is over at once', async () => {
  const placement = { revision, epoch: 1, groups: { a: [every] } };
  const slow = new SlowShard(bundle, oneThread, 'a');
  await using a = await startTestShard(bundle, placement, 'a', () => slow);
  const { pool } = await createTestPool(bundle, placement, { callTimeoutMs: 600_000 });
  pool.setShards(told(a));
  await whole(pool);
  slow.waitMs = 5000;
  const answers = step(pool, 1);
  await pool.release();
  expect((await answers).every((answer) => 'unavailable' in answer)).toBe(true);
});

test('a shard that does not answer in time is not asked again before it has said something', async () => {
  const placement = { revision, epoch: 1, groups: { a: [every] } };
  const slow = new SlowShard(bundle, oneThread, 'a');
  await using a = await startTestShard(bundle, placement, 'a', () => slow);
  const missing: number[] = [];
  const onMissing = ({ count }: { count: number }) => missing.push(count);
  const { pool } = await createTestPool(bundle, placement, { callTimeoutMs: 200, onMissing });
  pool.setShards(told(a));
  await whole(pool);
  slow.waitMs = 1000;
  expect((await step(pool, 1)).every((answer) => 'unavailable' in answer)).toBe(true);
  expect(missing.at(-1)).toBe(48);
  slow.waitMs = 0;
  // Nobody is asked: the answer is there at once, and says that nobody holds it.
  expect((await step(pool, 1)).every((answer) => 'unavailable' in answer)).toBe(true);
  expect(pool.report().failovers).toBe(1);
  // Its late answer brings it back.
  await whole(pool);
  expect(missing.at(-1)).toBe(0);
  expect(numbers(await step(pool, 1))).toEqual(await expected(1));
  await pool.release();
});

test('a placement is taken up between two steps, without a step that lacks anything; then old experts are dropped', async () => {
  const later = { revision, epoch: 2, engine: [{ layers: [0], experts: [3] }], groups: { a: [odd], b: [even, odd] } };
  await using a = await startTestShard(bundle, apart(), 'a');
  await using b = await startTestShard(bundle, apart(), 'b');
  const { pool } = await createTestPool(bundle, apart());
  pool.setShards(told(a, b));
  await whole(pool);
  const wanted = await expected(0);
  const next = parsePlacement(later, bundle);
  pool.setPlacement(next);
  expect(numbers(await step(pool, 0))).toEqual(wanted);
  expect(pool.epoch).toBe(1);
  const moves = [a, b].map(({ shard, users }) => shard.take(next, () => users.noneBefore(next.epoch)));
  let steps = 0;
  while (pool.epoch === 1) {
    expect(numbers(await step(pool, 0))).toEqual(wanted);
    expect(++steps).toBeLessThan(10_000);
  }
  await Promise.all(moves);
  const even0 = { layer: 0, expert: 0 };
  await eventually(() => !holds(a, even0), 'the first shard has dropped what it holds no more');
  expect(a.shard.size).toBe(24);
  expect(b.shard.size).toBe(48);
  expect(numbers(await step(pool, 0))).toEqual(wanted);
  await pool.release();
});

function holds({ shard }: TestShard, { layer, expert }: { layer: number; expert: number }): boolean {
  const at = layer * 8 + expert;
  return ((shard.holdings.held[at >> 3] as number) & (1 << (at & 7))) !== 0;
}
