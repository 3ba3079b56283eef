import { type Bundle, readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import { createSession } from '@tessera/inference';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { requireCut } from '../model/expert-cut.js';
import { ExpertSessions } from './expert-sessions.js';

const cpu = { threads: 1, device: 'cpu' } as const;
const layer = 3;
let bundle: Bundle;

beforeAll(async () => {
  bundle = await readBundle(await demoBundleDir('float32', 'experts'), ['llm']);
});

async function held(...experts: number[]): Promise<ExpertSessions> {
  const sessions = new ExpertSessions(bundle, cpu);
  onTestFinished(() => sessions.release());
  for (const expert of experts) await sessions.load({ layer, expert });
  return sessions;
}

const random = seededRandom(11);
const rowsOf = (count: number): Float32Array => Float32Array.from({ length: count * 256 }, () => random() - 0.5);

/** What an expert's graph gives by itself. */
async function reference(expert: number, rows: Float32Array): Promise<Float32Array> {
  const file = requireCut(bundle).layers.find((each) => each.layer === layer)?.experts[expert] as string;
  const session = await createSession(bundle.file(file), cpu);
  const given = { dtype: 'float32', shape: [rows.length / 256, 256], data: rows } as const;
  const { answers } = await session.run({ rows: given }, ['answers']);
  await session.release();
  return answers?.data as Float32Array;
}

test('few rows and many, of calls that overlap: each gets what its experts give, bit for bit', async () => {
  const sessions = await held(0, 5);
  // 32 rows of this width are the most that are copied.
  const calls = [
    [1, 40],
    [32, 33],
    [100, 2],
    [2, 1],
  ].map(([a, b]) => ({ a: rowsOf(a as number), b: rowsOf(b as number) }));
  const answers = await Promise.all(
    calls.map(({ a, b }) => {
      const shares = [
        { expert: 0, count: a.length / 256 },
        { expert: 5, count: b.length / 256 },
      ];
      return sessions.compute(layer, shares, Float32Array.of(...a, ...b));
    }),
  );
  for (const [at, { a, b }] of calls.entries()) {
    expect(answers[at]?.subarray(0, a.length)).toEqual(await reference(0, a));
    expect(answers[at]?.subarray(a.length)).toEqual(await reference(5, b));
  }
});

test('one is dropped once the calls before have ended, and is then not there', async () => {
  const sessions = await held(0, 5);
  const rows = rowsOf(3);
  const before = sessions.compute(layer, [{ expert: 5, count: 3 }], rows);
  const dropping = sessions.drop({ layer, expert: 5 });
  const after = sessions.compute(layer, [{ expert: 5, count: 3 }], rows);
  await expect(after).rejects.toMatchObject({ code: 'INTERNAL', message: 'expert 3.5 is not held' });
  expect(await before).toEqual(await reference(5, rows));
  await dropping;
  expect(sessions.holds({ layer, expert: 5 })).toBe(false);
  await expect(sessions.load({ layer, expert: 8 })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});
