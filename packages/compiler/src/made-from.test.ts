import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compileCheckpoint } from './compile-checkpoint.js';
import type { Cut } from './cut.js';
import { requireMadeFrom, requireMadeFromId } from './made-from.js';
import { writeSmallLlama } from './testing/small-llama.js';

const cuts: readonly (Cut | undefined)[] = [undefined, 'layers=2', 'layers=3'];
const id = 'org/name@main';
let root = '';
let model = '';
const bundleOf = (cut: Cut | undefined): string => join(root, `cut-${cut}`);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tessera-made-from-'));
  model = join(root, 'model');
  await writeSmallLlama(model, { layers: 3 });
  for (const cut of cuts) {
    const asked = { ids: [id], ...(cut !== undefined && { cut }) };
    await compileCheckpoint(model, bundleOf(cut), { weights: 'float32', remembers: true, ...asked });
  }
});

afterAll(() => rm(root, { recursive: true, force: true }));

const words = (cut: Cut | undefined): string => (cut === undefined ? 'without --cut' : `with --cut ${cut}`);

test.each(cuts.flatMap((made) => cuts.map((wanted) => [made, wanted] as const)))(
  'a bundle with the cut %s is one with the cut %s, or is not',
  async (made, wanted) => {
    const bundle = await readBundle(bundleOf(made));
    const asked = { weights: 'float32', ...(wanted !== undefined && { cut: wanted }) } as const;
    for (const held of [requireMadeFrom(bundle, model, asked), requireMadeFromId(bundle, id, asked)]) {
      if (made === wanted) await held;
      else await expect(held).rejects.toThrow(`that was made ${words(made)}, not ${words(wanted)}`);
    }
  },
);

test('a bundle is of the model and the weights that it was made from, and of no others', async () => {
  const bundle = await readBundle(bundleOf(undefined));
  await requireMadeFrom(bundle, model, { weights: 'auto' });
  await requireMadeFromId(bundle, id, { weights: 'float32' });
  const others = [
    [requireMadeFrom(bundle, model, { weights: 'int8' }), 'of weights float32, not int8'],
    [requireMadeFromId(bundle, id, { weights: 'auto' }), 'of weights float32, not auto'],
    [requireMadeFromId(bundle, 'org/other@main', { weights: 'float32' }), `of ${id}, not of org/other@main`],
  ] as const;
  for (const [held, why] of others)
    await expect(held).rejects.toMatchObject({ code: 'REQUEST_INVALID', message: expect.stringContaining(why) });
  await writeFile(join(model, 'generation_config.json'), '{"max_new_tokens": 5}');
  await expect(requireMadeFrom(bundle, model, { weights: 'float32' })).rejects.toThrow(
    'that was made from other files',
  );
});
