import { createHash } from 'node:crypto';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BundleManifest, ExpertCut } from './manifest.js';
import { readBundle } from './read-bundle.js';

let dir = '';

function textModel(): BundleManifest {
  const graph = Buffer.from('graph');
  return {
    formatVersion: 2,
    name: 'words-only',
    revision: '0123456789ab',
    weights: 'float32',
    parameters: { encoder: 0, connector: 0, llm: 10, generator: 0 },
    files: { 'llm.onnx': { bytes: graph.length, sha256: createHash('sha256').update(graph).digest('hex') } },
    llm: {
      graph: 'llm.onnx',
      layers: 1,
      hiddenSize: 8,
      heads: 2,
      kvHeads: 1,
      headDim: 4,
      vocabSize: 16,
      maxPositions: 32,
      eosTokenIds: [1],
      tokens: {},
    },
    generation: { maxNewTokens: 8, doSample: false, temperature: 1, topP: 1, topK: 0, repetitionPenalty: 1 },
  };
}

function withCut(changes: Partial<ExpertCut>): BundleManifest {
  const manifest = textModel();
  const sections = ['llm.onnx', 'llm.onnx'];
  const cut = { perLayer: 1, chosen: 1, expertBytes: 1, sections, layers: [{ layer: 0, experts: ['llm.onnx'] }] };
  return { ...manifest, llm: { ...manifest.llm, experts: { ...cut, ...changes } } };
}

const write = (manifest: unknown): Promise<void> => writeFile(join(dir, 'bundle.json'), JSON.stringify(manifest));

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tessera-bundle-'));
  await writeFile(join(dir, 'llm.onnx'), 'graph');
});

afterEach(() => rm(dir, { recursive: true, force: true }));

test('a text-only model opens, gives absolute paths, and says what it lacks', async () => {
  await write(textModel());
  const bundle = await readBundle(dir);
  expect(bundle.file('llm.onnx')).toBe(join(dir, 'llm.onnx'));
  expect(bundle.stage('llm').layers).toBe(1);
  expect(() => bundle.stage('generator')).toThrow(/words-only has no generator/);
  expect(() => bundle.file('bundle.json')).toThrow(/has no file bundle.json/);
  await bundle.verify();
});

test('every wrong manifest is refused by the name of its file', async () => {
  const generator = {
    ...{ graph: 'llm.onnx', nullCondition: 'llm.onnx', height: 1, width: 1, channels: 3 },
    ...{ conditionLength: 1, conditionWidth: 5, defaultSteps: 1, defaultGuidance: 1 },
    ...{ numTrainTimesteps: 1000, shift: 1, predictionType: 'sample' },
  };
  const wrong: [string, unknown, RegExp][] = [
    ['unknown field', { ...textModel(), extra: 1 }, /extra/],
    ['past format', { ...textModel(), formatVersion: 1 }, /compile the checkpoint again.*formatVersion/],
    ['future format', { ...textModel(), formatVersion: 3 }, /formatVersion/],
    ['path that leaves the folder', { ...textModel(), files: { '../llm.onnx': { bytes: 1, sha256: '' } } }, /files/],
    ['graph not listed', { ...textModel(), files: {} }, /llm.onnx is not among the files/],
    ['revision', { ...textModel(), revision: 'main' }, /revision/],
    [
      'encoder without connector',
      { ...textModel(), encoder: { graph: 'llm.onnx', inputSize: { height: 1, width: 1 }, patches: 1, width: 1 } },
      /come together/,
    ],
    ['pieces not listed', withCut({ sections: ['llm.onnx', 'a.onnx'] }), /a.onnx is not among the files/],
    ['too few sections', withCut({ layers: [0, 1].map((layer) => ({ layer, experts: ['llm.onnx'] })) }), /do not fit/],
    ['a layer that is not there', withCut({ layers: [{ layer: 1, experts: ['llm.onnx'] }] }), /do not fit/],
    ['a layer short of an expert', withCut({ perLayer: 2 }), /are not 2 experts each/],
    ['generator of another width', { ...textModel(), generator }, /is not the LLM hidden size/],
  ];
  for (const [, manifest, why] of wrong) {
    await write(manifest);
    const failure = await readBundle(dir).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'CHECKPOINT_INVALID', message: expect.stringMatching(why) });
    expect(failure).toMatchObject({ message: expect.stringContaining(join(dir, 'bundle.json')) });
  }
});

test('a folder that is no bundle, and a manifest that is not JSON', async () => {
  await expect(readBundle(dir)).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: /compile the checkpoint/,
  });
  await writeFile(join(dir, 'bundle.json'), '{"formatVersion":');
  await expect(readBundle(dir)).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID', message: /is not JSON/ });
});

test('a file cut short is found on opening, changed contents by verify', async () => {
  await write(textModel());
  await writeFile(join(dir, 'llm.onnx'), 'grapH');
  const bundle = await readBundle(dir);
  await expect(bundle.verify()).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID', message: /llm.onnx/ });
  await truncate(join(dir, 'llm.onnx'), 2);
  await expect(readBundle(dir)).rejects.toMatchObject({ message: /has 2 bytes, not 5/ });
  await rm(join(dir, 'llm.onnx'));
  await expect(readBundle(dir)).rejects.toMatchObject({ message: /llm.onnx: is missing/ });
});

test('a stage needs its own files only: its graph and what lies beside it', async () => {
  const file = { bytes: 5, sha256: createHash('sha256').update('graph').digest('hex') };
  const manifest = textModel();
  await write({
    ...manifest,
    files: { ...manifest.files, 'llm.onnx.data': file, 'tokenizer.json': file, 'other.bin': file },
  });
  await expect(readBundle(dir)).rejects.toMatchObject({ message: /is missing/ });
  await expect(readBundle(dir, ['llm'])).rejects.toMatchObject({
    message: /(llm.onnx.data|tokenizer.json): is missing/,
  });
  for (const name of ['llm.onnx.data', 'tokenizer.json']) await writeFile(join(dir, name), 'graph');
  const bundle = await readBundle(dir, ['llm']);
  expect(bundle.filesOf('llm').sort()).toEqual(['llm.onnx', 'llm.onnx.data', 'tokenizer.json']);
  expect(bundle.filesOf('encoder')).toEqual([]);
  await rm(join(dir, 'llm.onnx'));
  await readBundle(dir, []);
});
