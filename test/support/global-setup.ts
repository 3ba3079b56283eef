import { demoBundleDir } from '@tessera/compiler/testing/demo-model';

/** Compiles the demo model once before any test file, so that files in parallel do not compile it each. @public (Vitest calls it) */
export async function setup(): Promise<void> {
  for (const weights of ['float32', 'int8'] as const) await demoBundleDir(weights);
}
