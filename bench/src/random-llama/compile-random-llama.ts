import { join } from 'node:path';
import { type Bundle, type KvCacheType, readBundle } from '@tessera/bundle';
import { compileCheckpoint } from '@tessera/compiler';
import { writeCheckpoint } from './write-checkpoint.js';

/** The weights that most suites compare. */
export const comparedWeights = ['float32', 'int8', 'int4'] as const;

/**
 * Writes a checkpoint of SmolLM2's shape with random weights, and compiles it.
 * @param folder where both go
 * @returns one bundle for each kind of weights
 */
export async function compileRandomLlama<const Kinds extends readonly Bundle['manifest']['weights'][]>(
  folder: string,
  kinds: Kinds,
  kvCache?: KvCacheType,
): Promise<{ [At in keyof Kinds]: Bundle }> {
  const checkpoint = join(folder, 'smollm2');
  await writeCheckpoint(checkpoint);
  const bundles: Bundle[] = [];
  for (const weights of kinds) {
    const out = join(folder, weights);
    await compileCheckpoint(checkpoint, out, { weights, kvCache });
    bundles.push(await readBundle(out));
  }
  return bundles as { [At in keyof Kinds]: Bundle };
}
