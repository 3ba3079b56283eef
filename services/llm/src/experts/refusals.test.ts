// What does not belong together is refused with a sentence, and what was there before stays.

import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bundle, readBundle } from '@tessera/bundle';
import { demoBundleDir } from '@tessera/compiler/testing/demo-model';
import type { TesseraError } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestPool, startTestShard } from '../testing/expert-shards.js';
import type { Placement } from './placement.js';
import { PlacementFile } from './placement-file.js';

let bundle: Bundle;
let revision: string;
let folder: string;

beforeAll(async () => {
  bundle = await readBundle(await demoBundleDir('float32', 'experts'), ['llm']);
  revision = bundle.manifest.revision;
  folder = await mkdtemp(join(tmpdir(), 'tessera-refusals-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const every = { layers: 'all', experts: 'all' };
const most = { layers: 'all', experts: [0, 1, 2, 3, 4, 5, 6] };

/** Wrong in one thing each; what is asked of the first placement and of a later one alike. */
const wrong: readonly [what: string, content: () => unknown, says: RegExp][] = [
  ['another revision', () => ({ revision: '0123456789ab', epoch: 9, groups: { a: [every] } }), /revision 0123456789ab/],
  [
    'an expert that is not there',
    () => ({ revision, epoch: 9, groups: { a: [every, { layers: [1], experts: [8] }] } }),
    /names expert 8, of 8 that there are, in groups.a/,
  ],
  [
    'a layer that is not there',
    () => ({ revision, epoch: 9, engine: [{ layers: [6], experts: [0] }], groups: { a: [every] } }),
    /names layer 6, which has no experts, in engine/,
  ],
  [
    'an expert that is left out',
    () => ({ revision, epoch: 9, groups: { a: [most] } }),
    /leaves 6 experts to nobody, such as expert 7 of layer 0/,
  ],
];

async function write(content: unknown): Promise<string> {
  const path = join(folder, 'placement.json');
  await writeFile(`${path}.new`, typeof content === 'string' ? content : JSON.stringify(content));
  // Replaced, not written to, as its readers ask for.
  await rename(`${path}.new`, path);
  return path;
}

test.each(wrong)('a placement to begin with: %s is refused', async (_, content, says) => {
  const path = await write(content());
  await expect(new PlacementFile(path, bundle).open()).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(says),
  });
});

test('a later placement that is wrong is refused once, and the next right one is taken', async () => {
  const file = new PlacementFile(await write({ revision, epoch: 3, groups: { a: [every] } }), bundle);
  expect((await file.open()).epoch).toBe(3);
  const taken: Placement[] = [];
  const refused: TesseraError[] = [];
  const ending = new AbortController();
  const following = file.follow(
    { onNew: (placement) => taken.push(placement), onRefused: (error) => refused.push(error) },
    ending.signal,
  );
  const later: readonly (readonly [content: unknown, says: RegExp])[] = [
    ...wrong.map(([, content, says]) => [content(), says] as const),
    ['{', /is not JSON/],
    [{ revision, epoch: 3, groups: { b: [every] } }, /its epoch is 3; after 3 it must be higher/],
  ];
  for (const [at, [content, says]] of later.entries()) {
    await write(content);
    await eventually(() => {
      following.lookNow();
      return refused.length > at;
    }, 'it is refused');
    expect(refused[at]).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(says) });
  }
  expect(taken).toEqual([]);
  await write({ revision, epoch: 4, groups: { b: [every] } });
  await eventually(() => {
    following.lookNow();
    return taken.length > 0;
  }, 'it is taken');
  ending.abort();
  expect(taken.map(({ epoch }) => epoch)).toEqual([4]);
  expect(refused).toHaveLength(later.length);
});

test('a shard of another revision is told so by name and asked for nothing', async () => {
  const other = await readBundle(await demoBundleDir('int8', 'experts'), ['llm']);
  const theirs = { revision: other.manifest.revision, epoch: 1, groups: { a: [every] } };
  await using strange = await startTestShard(other, theirs, 'a');
  let missing = -1;
  const { pool, troubles } = await createTestPool(
    bundle,
    { revision, epoch: 1, groups: { a: [every] } },
    {
      onMissing: ({ count }) => {
        missing = count;
      },
    },
  );
  pool.setShards([strange.address]);
  await eventually(() => troubles.length > 0, 'it is refused');
  expect(troubles[0]).toMatchObject({
    code: 'MODEL_NOT_FOUND',
    message: expect.stringContaining(
      `this shard holds experts of revision ${other.manifest.revision}; the engine has ${revision}`,
    ),
  });
  expect(missing).toBe(48);
  pool.beginStep();
  const [answer] = await pool.compute(0, new Float32Array(256), [{ expert: 0, rows: [0] }]);
  pool.endStep();
  expect(answer).toMatchObject({ unavailable: { code: 'STAGE_UNAVAILABLE' } });
  await pool.release();
});
