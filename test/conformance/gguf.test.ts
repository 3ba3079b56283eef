import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileCheckpoint } from '@tessera/compiler';
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
  'qwen2',
  'qwen3',
  'qwen3-moe',
];

const digests = (bundle: string): string[] =>
  ['llm.onnx', 'llm.onnx.data'].map((file) =>
    createHash('sha256')
      .update(readFileSync(join(bundle, file)))
      .digest('hex'),
  );

test.each(names)('%s from a GGUF file in float32 is what it is from its safetensors, byte for byte', async (name) => {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-gguf-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const checkpoint = copyCheckpoint(name, folder);
  const file = join(folder, 'model.gguf');
  await writeGguf(file, await ggufOf(checkpoint));
  const expected = await compileCheckpoint(checkpoint, join(folder, 'expected'), { weights: 'float32' });
  const actual = await compileCheckpoint(file, join(folder, 'actual'), { weights: 'auto' });
  expect({ ...actual.llm, tokens: {} }).toEqual(expected.llm);
  expect(actual.weights).toBe('float32');
  expect(digests(join(folder, 'actual'))).toEqual(digests(join(folder, 'expected')));
});
