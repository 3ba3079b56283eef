import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { ensureBundle, SafetensorsFile } from '@tessera/compiler';
import type { Float32Tensor } from '@tessera/protocol';
import { z } from 'zod';

const root = resolve(import.meta.dirname, '../../../..');
const demoDir = resolve(root, 'models/demo');
const goldensDir = resolve(demoDir, 'goldens');

/** The folder of the compiled demo model. */
export async function demoBundleDir(weights: 'float32' | 'int8' = 'float32'): Promise<string> {
  return (await ensureBundle(demoDir, resolve(root, '.cache/bundles'), { weights })).dir;
}

const ids = z.array(z.number().int());

const goldenCases = z.object({
  tokenizer: z.array(z.object({ text: z.string(), ids })),
  cases: z.array(
    z.object({
      id: z.string(),
      image: z.string().nullable(),
      question: z.string(),
      input_ids: ids,
      output_ids: ids,
      answer: z.string(),
    }),
  ),
});

export type GoldenCase = z.infer<typeof goldenCases>['cases'][number];

export async function goldens(): Promise<z.infer<typeof goldenCases>> {
  return goldenCases.parse(JSON.parse(await readFile(resolve(goldensDir, 'cases.json'), 'utf8')));
}

/** Reads reference tensors by name, e.g. `apple.visual_tokens`. */
export async function goldenTensors(names: readonly string[]): Promise<ReadonlyMap<string, Float32Tensor>> {
  const file = await SafetensorsFile.open(resolve(goldensDir, 'tensors.safetensors'));
  try {
    const tensors = new Map<string, Float32Tensor>();
    for (const name of names) {
      const data = await file.read(name);
      const shape = file.tensors.get(name)?.shape ?? [data.length];
      tensors.set(name, { dtype: 'float32', shape, data });
    }
    return tensors;
  } finally {
    await file.close();
  }
}
