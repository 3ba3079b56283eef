import { resolve } from 'node:path';
import type { WeightKind } from '@tessera/bundle';
import { compileCheckpoint } from '@tessera/compiler';
import { note, progress } from '../terminal.js';

/** Compiles a checkpoint into a bundle. */
export async function compile(
  checkpoint: string,
  options: { out: string; weights: WeightKind; json: boolean },
  signal: AbortSignal,
): Promise<void> {
  const out = resolve(options.out);
  const bar = progress('compiling');
  try {
    await compileCheckpoint(resolve(checkpoint), out, {
      weights: options.weights,
      onProgress: ({ doneBytes, totalBytes, stage }) => bar.update(doneBytes, totalBytes, stage),
      signal,
    });
  } finally {
    bar.stop();
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ bundle: out, weights: options.weights })}\n`);
  else note(`bundle written: ${out}`);
}
