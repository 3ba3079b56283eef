import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { extractPart } from './extract-part.js';
import { readBundle } from './read-bundle.js';

let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tessera-part-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A text-only model whose LLM has a graph and the file of its weights. */
async function writeModel(): Promise<string> {
  const dir = join(folder, 'model');
  const files = { 'llm.onnx': Buffer.from('graph'), 'llm.onnx.data': Buffer.alloc(3 * 1024 * 1024, 7) };
  await mkdir(dir);
  const described = Object.entries(files).map(([name, bytes]) => [
    name,
    { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') },
  ]);
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(dir, name), bytes);
  const llm = { graph: 'llm.onnx', layers: 1, hiddenSize: 8, heads: 2, kvHeads: 1, headDim: 4, vocabSize: 16 };
  const manifest = {
    formatVersion: 2,
    name: 'words-only',
    revision: '0123456789ab',
    weights: 'float32',
    parameters: { encoder: 0, connector: 0, llm: 10, generator: 0 },
    files: Object.fromEntries(described),
    llm: { ...llm, maxPositions: 32, eosTokenIds: [1], tokens: {} },
    generation: { maxNewTokens: 8, doSample: false, temperature: 1, topP: 1, topK: 0, repetitionPenalty: 1 },
  };
  await writeFile(join(dir, 'bundle.json'), JSON.stringify(manifest));
  return dir;
}

test('a run that is ended in the middle of a file leaves nothing that looks whole, and the next one ends it', async () => {
  const bundle = await readBundle(await writeModel());
  const out = join(folder, 'out');
  const stop = new AbortController();
  const seen: string[] = [];
  const ended = extractPart(bundle, { stage: 'llm' }, out, {
    signal: stop.signal,
    onProgress: ({ doneBytes, totalBytes, file }) => {
      seen.push(file);
      if (file === 'llm.onnx.data' && doneBytes < totalBytes) stop.abort(new Error('ended'));
    },
  });
  await expect(ended).rejects.toThrow('ended');
  expect(seen).toContain('llm.onnx.data');
  expect(await readdir(out)).toEqual(['llm.onnx']);
  const done = await extractPart(bundle, { stage: 'llm' }, out);
  expect(done).toMatchObject({ files: ['llm.onnx', 'llm.onnx.data'], kept: ['llm.onnx'] });
  await (await readBundle(out)).verify();
});

test('a file that cannot be written, and a folder that is a file, are named', async () => {
  const bundle = await readBundle(await writeModel());
  const out = join(folder, 'out');
  await mkdir(join(out, 'llm.onnx.partial'), { recursive: true });
  await expect(extractPart(bundle, { stage: 'llm' }, out)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('llm.onnx'),
  });
  const file = join(folder, 'file');
  await writeFile(file, '');
  await expect(extractPart(bundle, { stage: 'llm' }, file)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(file),
  });
});
