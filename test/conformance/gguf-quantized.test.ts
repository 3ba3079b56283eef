import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { compileCheckpoint } from '@tessera/compiler';
import { Decoder } from '@tessera/compiler/testing/decoder';
import { ggufOf } from '@tessera/compiler/testing/gguf-of-checkpoint';
import { type RoundedType, rounded } from '@tessera/compiler/testing/rounded-store';
import { writeGguf } from '@tessera/compiler/testing/write-gguf';
import { createSession } from '@tessera/inference';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { expect, onTestFinished, test } from 'vitest';
import { copyCheckpoint, readReference } from './fixture.js';

/**
 * The bound is on the logits in L2, over all positions of the prompt. What differs is that MatMulNBits rounds the activations to
 * eight bits, and the weights that stand beside those that are stored in blocks. Measured: 0.011 to 0.025.
 */
test.each<[string, RoundedType]>([
  ['llama-mha', 'Q8_0'],
  ['llama-mha', 'Q4_0'],
  ['qwen3', 'Q4_0'],
  ['qwen3-moe', 'Q8_0'],
])('%s in %s gives what its blocks say, and is not rounded again', async (name, kind) => {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-gguf-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const checkpoint = copyCheckpoint(name, folder);
  const file = join(folder, 'model.gguf');
  await writeGguf(file, await ggufOf(checkpoint, rounded(kind)));
  const { prompt } = await readReference(name);
  const logits = async (weights: 'float32' | 'int8'): Promise<Float32Array> => {
    const out = join(folder, weights);
    await compileCheckpoint(file, out, { weights });
    const llm = (await readBundle(out)).stage('llm');
    const session = await createSession(join(out, llm.graph), { threads: 1, device: 'cpu' });
    const decoder = new Decoder(session, llm, { sequences: 1, capacity: llm.maxPositions });
    const rows: number[] = [];
    for (const token of prompt) rows.push(...(await decoder.step([0], [[token]])).logits.data);
    await session.release();
    return Float32Array.from(rows);
  };
  const exact = await logits('float32');
  const error = relativeErrors(await logits('int8'), exact).l2;
  expect(error).toBeLessThan(0.04);
  expect(error).toBeGreaterThan(1e-4);
});
