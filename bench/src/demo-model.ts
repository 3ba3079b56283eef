import { resolve } from 'node:path';
import { type Bundle, readBundle } from '@tessera/bundle';
import { ensureBundle } from '@tessera/compiler';

const root = resolve(import.meta.dirname, '../..');

export const demoModelDir = resolve(root, 'models/demo');

export type Weights = 'float32' | 'int8';

/** The demo model compiled; from the cache that the demo and the tests use. */
export async function demoBundle(weights: Weights): Promise<Bundle> {
  const { dir } = await ensureBundle(demoModelDir, resolve(root, '.cache/bundles'), { weights });
  return await readBundle(dir);
}
