import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { SafetensorsFile } from '../checkpoint/safetensors.js';

/** The default model, at the root of the repository. */
export const demoDir = fileURLToPath(new URL('../../../../models/demo', import.meta.url));

const cases = z.object({
  cases: z.array(
    z.object({
      id: z.string(),
      image: z.string().nullish(),
      input_ids: z.array(z.number()),
      output_ids: z.array(z.number()),
    }),
  ),
});

export type GoldenCase = z.infer<typeof cases>['cases'][number];

export async function goldenCases(): Promise<GoldenCase[]> {
  return cases.parse(JSON.parse(await readFile(`${demoDir}/goldens/cases.json`, 'utf8'))).cases;
}

export function openGoldens(): Promise<SafetensorsFile> {
  return SafetensorsFile.open(`${demoDir}/goldens/tensors.safetensors`);
}

/** How far `actual` is from `expected`: the largest difference over the largest value, and the same in L2. */
export function relativeError(actual: Float32Array, expected: Float32Array): { max: number; l2: number } {
  if (actual.length !== expected.length) throw new Error(`${actual.length} values, not ${expected.length}`);
  let [worst, peak, squares, norm] = [0, 0, 0, 0];
  for (const [i, value] of expected.entries()) {
    const difference = Math.abs((actual[i] as number) - value);
    // Not Math.max: a NaN must not vanish.
    if (!(difference <= worst)) worst = difference;
    peak = Math.max(peak, Math.abs(value));
    squares += difference * difference;
    norm += value * value;
  }
  return { max: worst / peak, l2: Math.sqrt(squares / norm) };
}
