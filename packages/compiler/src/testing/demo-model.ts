import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type Bundle, readBundle } from '@tessera/bundle';
import { type Float32Tensor, tensor } from '@tessera/protocol';
import { z } from 'zod';
import { SafetensorsFile } from '../checkpoint/safetensors.js';
import { ensureBundle } from '../ensure-bundle.js';
import type { WeightPrecision } from '../graph/index.js';

const inRoot = (path: string): string => fileURLToPath(new URL(`../../../../${path}`, import.meta.url));

/** The default model's checkpoint. */
export const demoDir = inRoot('models/demo');

/** The folder of the default model, compiled. */
export async function demoBundleDir(weights: WeightPrecision = 'float32'): Promise<string> {
  return (await ensureBundle(demoDir, inRoot('.cache/bundles'), { weights })).dir;
}

/** The default model, compiled. */
export async function demoBundle(): Promise<Bundle> {
  return readBundle(await demoBundleDir());
}

const ids = z.array(z.int());
const goldensFile = z.object({
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

export type GoldenCase = z.infer<typeof goldensFile>['cases'][number];

/** Texts with their tokens, and questions with their answers: greedy, in float32, by another implementation. */
export async function goldens(): Promise<z.infer<typeof goldensFile>> {
  return goldensFile.parse(JSON.parse(await readFile(`${demoDir}/goldens/cases.json`, 'utf8')));
}

/** The reference tensors: computed in float32 from the same weights by another implementation. */
export function openGoldens(): Promise<SafetensorsFile> {
  return SafetensorsFile.open(`${demoDir}/goldens/tensors.safetensors`);
}

/** One reference tensor, such as `apple.visual_tokens`. */
export async function goldenTensor(name: string): Promise<Float32Tensor> {
  const file = await openGoldens();
  try {
    return tensor('float32', file.tensors.get(name)?.shape ?? [], await file.read(name));
  } finally {
    await file.close();
  }
}
