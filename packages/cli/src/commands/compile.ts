import { resolve } from 'node:path';
import type { WeightKind } from '@tessera/bundle';
import { type Cut, compileCheckpoint } from '@tessera/compiler';
import { note, progress } from '../terminal.js';

export interface CompileCommandOptions {
  readonly out: string;
  readonly weights: WeightKind;
  readonly cut?: Cut;
  readonly json: boolean;
}

/** Compiles a checkpoint into a bundle. */
export async function compile(checkpoint: string, options: CompileCommandOptions, signal: AbortSignal): Promise<void> {
  const out = resolve(options.out);
  const bar = progress('compiling');
  try {
    await compileCheckpoint(resolve(checkpoint), out, {
      weights: options.weights,
      cut: options.cut,
      onProgress: ({ doneBytes, totalBytes, stage }) => bar.update(doneBytes, totalBytes, stage),
      signal,
    });
  } finally {
    bar.stop();
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ bundle: out, weights: options.weights })}\n`);
  else note(`bundle written: ${out}`);
}
