import { resolve } from 'node:path';
import { ensureBundle } from '@tessera/compiler';

/** Compiles the demo model once before any test file, so that files in parallel do not compile it each. @public (Vitest calls it) */
export async function setup(): Promise<void> {
  const root = resolve(import.meta.dirname, '../..');
  for (const weights of ['float32', 'int8'] as const) {
    await ensureBundle(resolve(root, 'models/demo'), resolve(root, '.cache/bundles'), { weights });
  }
}
