import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileCheckpoint, inspectCheckpoint } from '@tessera/compiler';
import { ggufOf } from '@tessera/compiler/testing/gguf-of-checkpoint';
import { writeGguf } from '@tessera/compiler/testing/write-gguf';
import { expect, onTestFinished, test } from 'vitest';
import { copyCheckpoint } from './fixture.js';

/** Families, and options of which a GGUF file says something. */
const names = [
  'llama-linear',
  'llama-llama3',
  'llama-mha',
  'llama-mqa-biases',
  'llama-yarn',
  'mistral-window',
  'mixtral-top-2',
  'qwen2',
  'qwen2-moe',
  'qwen3',
  'qwen3-moe',
];

const digests = (bundle: string): string[] =>
  ['llm.onnx', 'llm.onnx.data'].map((file) =>
    createHash('sha256')
      .update(readFileSync(join(bundle, file)))
      .digest('hex'),
  );

const newFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-gguf-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

test.each(names)('%s from a GGUF file in float32 is what it is from its safetensors, byte for byte', async (name) => {
  const folder = newFolder();
  const checkpoint = copyCheckpoint(name, folder);
  const file = join(folder, 'model.gguf');
  await writeGguf(file, await ggufOf(checkpoint));
  const expected = await compileCheckpoint(checkpoint, join(folder, 'expected'), { weights: 'float32' });
  const actual = await compileCheckpoint(file, join(folder, 'actual'), { weights: 'auto' });
  expect({ ...actual.llm, tokens: {} }).toEqual(expected.llm);
  expect(actual.weights).toBe('float32');
  expect(digests(join(folder, 'actual'))).toEqual(digests(join(folder, 'expected')));
});

test('internlm2, whose projections are apart in a GGUF file, is a LLaMA', async () => {
  const folder = newFolder();
  const checkpoint = copyCheckpoint('llama-mha', folder);
  const file = join(folder, 'model.gguf');
  const { metadata, tensors } = await ggufOf(checkpoint);
  const renamed = Object.entries(metadata).map(([key, value]) => [key.replace(/^llama\./, 'internlm2.'), value]);
  await writeGguf(file, { metadata: { ...Object.fromEntries(renamed), 'general.architecture': 'internlm2' }, tensors });
  await compileCheckpoint(checkpoint, join(folder, 'expected'), { weights: 'float32' });
  await compileCheckpoint(file, join(folder, 'actual'), { weights: 'float32' });
  expect(digests(join(folder, 'actual'))).toEqual(digests(join(folder, 'expected')));
});

test('qwen2moe without biases is compiled as it is', async () => {
  const folder = newFolder();
  const checkpoint = copyCheckpoint('qwen2-moe', folder);
  const file = join(folder, 'model.gguf');
  const { metadata, tensors } = await ggufOf(checkpoint);
  await writeGguf(file, { metadata, tensors: tensors.filter(({ name }) => !name.endsWith('.bias')) });
  const manifest = await compileCheckpoint(file, join(folder, 'bundle'), { weights: 'float32' });
  const biases = tensors.filter(({ name }) => name.endsWith('.bias'));
  const values = biases.reduce((sum, { shape }) => sum + (shape[0] as number), 0);
  const whole = await inspectCheckpoint(checkpoint);
  expect(biases.length).toBeGreaterThan(0);
  expect(manifest.parameters.llm).toBe(whole.parameters - values);
});
