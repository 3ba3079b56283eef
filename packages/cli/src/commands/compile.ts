import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type BundleManifest, type KvCacheType, readBundle } from '@tessera/bundle';
import { type Cut, compileCheckpoint, requireMadeFrom, requireMadeFromId, type WantedWeights } from '@tessera/compiler';
import { hubId, localModel } from '../model-source.js';
import { note, progress } from '../terminal.js';

export interface CompileCommandOptions {
  readonly out: string;
  readonly weights: WantedWeights;
  readonly cut?: Cut;
  readonly kvCache: KvCacheType;
  /** Whether a bundle that is there already, and made from the same, is left as it is. */
  readonly keep: boolean;
  readonly json: boolean;
}

/** Compiles a checkpoint into a bundle. */
export async function compile(checkpoint: string, options: CompileCommandOptions, signal: AbortSignal): Promise<void> {
  const out = resolve(options.out);
  const kept = options.keep ? await bundleAt(out, checkpoint, options, signal) : undefined;
  if (kept !== undefined) {
    if (options.json) process.stdout.write(`${JSON.stringify({ bundle: out, weights: kept.weights, kept: true })}\n`);
    else note(`kept the bundle that is there: ${out}`);
    return;
  }
  const { path, name, ids } = await localModel(checkpoint, signal);
  const bar = progress('compiling');
  let written: BundleManifest;
  try {
    written = await compileCheckpoint(path, out, {
      name,
      weights: options.weights,
      cut: options.cut,
      kvCache: options.kvCache,
      ids,
      remembers: options.keep && ids === undefined,
      onProgress: ({ doneBytes, totalBytes, stage }) => bar.update(doneBytes, totalBytes, stage),
      signal,
    });
  } finally {
    bar.stop();
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ bundle: out, weights: written.weights })}\n`);
  else note(`bundle written: ${out}`);
}

/**
 * A folder is renamed into its place when it is whole, so that one which is there is a bundle or somebody else's.
 * @throws TesseraError REQUEST_INVALID for one of another model, or made otherwise
 */
async function bundleAt(
  out: string,
  checkpoint: string,
  { weights, cut, kvCache }: CompileCommandOptions,
  signal: AbortSignal,
): Promise<BundleManifest | undefined> {
  if (!(await stat(out).catch(() => undefined))) return undefined;
  const bundle = await readBundle(out);
  const id = await hubId(checkpoint);
  if (id === undefined) await requireMadeFrom(bundle, checkpoint, { weights, cut, kvCache, signal });
  else await requireMadeFromId(bundle, id, { weights, cut, kvCache });
  return bundle.manifest;
}
