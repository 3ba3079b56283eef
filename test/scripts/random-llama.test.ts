import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspectCheckpoint } from '@tessera/compiler';
import { expect, test } from 'vitest';
import { smolLm2, tensorsOf } from '../../bench/src/random-llama/shape.js';
import { ones, writeSafetensors } from '../../packages/compiler/src/testing/write-safetensors.js';

test('the tensors of the random LLaMA are those that its config asks for', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-random-llama-'));
  try {
    // Two layers of a small vocabulary have every shape, too.
    const small = { ...smolLm2, num_hidden_layers: 2, vocab_size: 64 };
    writeFileSync(join(folder, 'config.json'), JSON.stringify(small));
    const tensors = tensorsOf(small).map(({ name, shape }) => [name, ones(...shape)] as const);
    await writeSafetensors(join(folder, 'model.safetensors'), Object.fromEntries(tensors));
    expect(await inspectCheckpoint(folder)).toMatchObject({ modelType: 'llama', compilable: true, differences: [] });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
