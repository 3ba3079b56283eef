import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bundle, readBundle } from '@tessera/bundle';
import type { Float32Tensor } from '@tessera/protocol';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { goldenCases } from '@tessera/testing/demo-model/goldens';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compileCheckpoint } from '../compile-checkpoint.js';
import { type Cut, parseCut } from '../cut.js';
import { BundleGraphs, beginnings } from '../testing/run-pieces.js';
import { writeSmallLlama } from '../testing/small-llama.js';

let root = '';

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tessera-pieces-'));
  await writeSmallLlama(join(root, 'small'));
  await writeSmallLlama(join(root, 'tied'), { tied: true });
  await cp(demoModelDir, join(root, 'mixture'), { recursive: true });
});

afterAll(() => rm(root, { recursive: true, force: true }));

const prompts = goldenCases.slice(0, 3).map(({ input_ids }) => input_ids);

describe.each([
  ['small', 'float32', 3],
  ['small', 'int8', 2],
  ['tied', 'float32', 2],
  ['tied', 'int4', 5],
  ['tied', 'float16', 2],
  ['small', 'int4-g128-zp', 2],
  ['mixture', 'int8', 2],
] as const)('the %s model in %s, cut into %i pieces', (model, weights, pieces) => {
  let bundle: Bundle;

  beforeAll(async () => {
    const out = join(root, `${model}-${weights}`);
    await compileCheckpoint(join(root, model), out, { weights, cut: `layers=${pieces}` });
    bundle = await readBundle(out);
    await bundle.verify();
  });

  test('gives what the whole gives at every seam, bit for bit', async () => {
    await using graphs = new BundleGraphs(bundle);
    const feeds = beginnings(bundle.manifest.llm, prompts);
    const whole = await graphs.run('llm.onnx', feeds);
    const cut = await graphs.runPieces(feeds);
    // The keys and values of a layer say what went into it.
    expect(Object.keys(whole)).toHaveLength(2 * bundle.manifest.llm.layers + 2);
    for (const [name, { data, shape }] of Object.entries(whole)) {
      expect(cut[name]?.shape, name).toEqual(shape);
      expect(cut[name]?.data, name).toEqual(data);
    }
    expect(Object.keys(cut)).toHaveLength(Object.keys(whole).length);
  });

  test('has each piece’s weights in a file of its own, and the whole graph’s in those', () => {
    const { files, llm } = bundle.manifest;
    const ranges = bundle.layerPieces.pieces;
    expect(ranges).toHaveLength(pieces);
    expect(ranges.reduce((sum, { layers }) => sum + layers, 0)).toBe(llm.layers);
    expect(ranges.every(({ layers }) => layers >= 1)).toBe(true);
    for (const [piece, { graph }] of ranges.entries()) {
      const needed = bundle.filesOfLayers(piece);
      expect(needed).toEqual(expect.arrayContaining([graph, `${graph}.data`]));
      expect(needed.filter((name) => name.endsWith('.data'))).toEqual([`${graph}.data`]);
      expect(needed.includes('tokenizer.json')).toBe(piece === 0);
      expect(needed.includes('llm.head.onnx')).toBe(piece === 0);
    }
    // Scales of so small a layer lie in its graph, and it is written again with them.
    if (weights === 'float32') expect(files['llm.onnx.data']?.bytes).toBe(0);
    expect(bundle.filesOf('llm')).toEqual(expect.arrayContaining(ranges.map(({ graph }) => `${graph}.data`)));
  });

  test('runs from the files of a piece alone', async () => {
    const alone = join(root, `${model}-${weights}-alone`);
    const last = pieces - 1;
    for (const name of ['bundle.json', ...bundle.filesOfLayers(last)])
      await cp(join(bundle.dir, name), join(alone, name));
    const carried = await readBundle(alone, []);
    await carried.require(carried.filesOfLayers(last));
    await using graphs = new BundleGraphs(carried);
    await using whole = new BundleGraphs(bundle);
    const feeds = beginnings(bundle.manifest.llm, prompts);
    const { pieces: ranges } = bundle.layerPieces;
    let hidden = feeds;
    for (const { graph } of ranges.slice(0, -1)) {
      const { output_hidden } = await whole.run(graph, hidden);
      hidden = { ...feeds, ...(output_hidden && { input_hidden: output_hidden }) };
    }
    const graph = ranges[last]?.graph as string;
    expect(await graphs.run(graph, hidden)).toEqual(await whole.run(graph, hidden));
    await expect(carried.require(carried.filesOfLayers(0))).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
  });
});

test('a cache of float16 changes logits by its rounding alone, and is what pieces take and give, too', async () => {
  const [out, plain] = [join(root, 'half'), join(root, 'plain')];
  await compileCheckpoint(join(root, 'small'), out, { weights: 'float32', cut: 'layers=2', kvCache: 'float16' });
  await compileCheckpoint(join(root, 'small'), plain, { weights: 'float32' });
  const [bundle, reference] = [await readBundle(out), await readBundle(plain)];
  expect(bundle.manifest.llm.kvCache).toBe('float16');
  await using graphs = new BundleGraphs(bundle);
  await using exact = new BundleGraphs(reference);
  const feeds = beginnings(bundle.manifest.llm, prompts);
  const whole = await graphs.run('llm.onnx', feeds);
  const cached = Object.entries(whole).filter(([name]) => name.startsWith('new_'));
  expect(new Set(cached.map(([, { dtype }]) => dtype))).toEqual(new Set(['float16']));
  expect(await graphs.runPieces(feeds)).toEqual(whole);
  const { logits } = await exact.run('llm.onnx', beginnings(reference.manifest.llm, prompts));
  const { l2 } = relativeErrors((whole.logits as Float32Tensor).data, (logits as Float32Tensor).data);
  // float16 rounds by 2^-12 at most, in each of five layers.
  expect(l2).toBeGreaterThan(0);
  expect(l2).toBeLessThan(0.01);
});

test('a cut is part of the revision', async () => {
  const revisions = new Set<string>();
  for (const cut of [undefined, 'layers=2', 'layers=3'] as const) {
    const { revision } = await compileCheckpoint(join(root, 'small'), join(root, `as-${cut}`), {
      weights: 'int8',
      cut,
    });
    revisions.add(revision);
  }
  expect(revisions.size).toBe(3);
});

test.each<[string, string, Cut, object]>([
  ['more pieces than layers', 'small', 'layers=6', { code: 'REQUEST_INVALID', message: /5 layers.*2 to 5/ }],
  ['one piece', 'small', 'layers=1', { code: 'REQUEST_INVALID', message: /2 to 5/ }],
  ['experts of a dense model', 'small', 'experts', { code: 'UNSUPPORTED' }],
])('%s: refused, and nothing is left behind', async (_, model, cut, expected) => {
  const { message, ...rest } = expected as { message?: RegExp };
  const out = join(root, 'refused');
  const compiled = compileCheckpoint(join(root, model), out, { weights: 'int8', cut });
  await expect(compiled).rejects.toMatchObject({
    ...rest,
    ...(message && { message: expect.stringMatching(message) }),
  });
  await expect(readBundle(out)).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
});

test('what is no cut is refused, and says which there are', () => {
  expect(parseCut('layers=02')).toBe('layers=2');
  expect(parseCut('experts')).toBe('experts');
  for (const text of [
    'layers=1',
    'layers=',
    'layers=2.5',
    'layers=-2',
    'heads',
    '',
    'experts,layers=2',
    'layers=2 and experts',
  ])
    expect(() => parseCut(text)).toThrow(/experts, or layers=N/);
});
