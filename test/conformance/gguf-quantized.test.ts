import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { compileCheckpoint } from '@tessera/compiler';
import { Decoder } from '@tessera/compiler/testing/decoder';
import { ggufOf, type Store } from '@tessera/compiler/testing/gguf-of-checkpoint';
import { writeGguf } from '@tessera/compiler/testing/write-gguf';
import { createSession } from '@tessera/inference';
import { narrowToFloat16, widenFloat16 } from '@tessera/protocol';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { expect, onTestFinished, test } from 'vitest';
import { copyCheckpoint, readReference } from './fixture.js';

type Kind = 'Q8_0' | 'Q4_0';

const kinds = {
  Q8_0: { type: 8, bytes: 34, scale: (peak: number) => peak / 127 },
  Q4_0: { type: 2, bytes: 18, scale: (peak: number) => peak / 7 },
} as const;

/** Rounds weights whose rows blocks of 32 fill, and puts the rounded values in their place. */
function rounded(kind: Kind): Store {
  const { type, bytes, scale } = kinds[kind];
  return (name, { shape, data }) => {
    if ((shape.at(-1) as number) % 32 !== 0 || !name.startsWith('blk.')) {
      return { type: 0, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
    }
    const blocks = data.length / 32;
    const stored = new Uint8Array(blocks * bytes);
    for (let block = 0; block < blocks; block++) {
      const values = data.subarray(block * 32, block * 32 + 32);
      const half = narrowToFloat16(Float32Array.of(scale(Math.max(...values.map(Math.abs)))));
      const step = widenFloat16(half)[0] as number;
      stored.set(new Uint8Array(half.buffer), block * bytes);
      const whole = Array.from(values, (value) => Math.round(value / step));
      if (kind === 'Q8_0') stored.set(Uint8Array.from(whole), block * bytes + 2);
      else
        for (let j = 0; j < 16; j++)
          stored[block * bytes + 2 + j] = (whole[j] as number) + 8 + (((whole[j + 16] as number) + 8) << 4);
      for (const [j, value] of whole.entries()) values[j] = value * step;
    }
    return { type, data: stored };
  };
}

/**
 * The bound is on the logits in L2, over all positions of the prompt. What differs is that MatMulNBits rounds the activations to
 * eight bits, and the weights that stand beside those that are stored in blocks. Measured: 0.011 to 0.025.
 */
test.each<[string, Kind]>([
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
