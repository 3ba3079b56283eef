import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { withFileLock } from '@tessera/flow';
import { wordsOfForm } from './bundle-form.js';
import { requireCompilable } from './bundle-plan.js';
import { type CompileOptions, compileCheckpoint } from './compile-checkpoint.js';
import { contentDigest } from './content-digest.js';
import { DigestMemo } from './digest-memo.js';
import { modelName } from './model-name.js';
import { decideWeights, requireModel } from './open-model.js';
import { removeAbandoned } from './temporary-sibling.js';

export interface EnsuredBundle {
  /** Absolute; give it to readBundle. */
  readonly dir: string;
  /** Whether it was compiled now, rather than found. */
  readonly compiled: boolean;
}

export interface EnsureOptions extends Omit<CompileOptions, 'digest' | 'ids' | 'remembers'> {
  /** Told what takes long beside the work itself. */
  readonly onNote?: (text: string) => void;
}

async function isWhole(dir: string): Promise<boolean> {
  if (!(await stat(dir).catch(() => undefined))) return false;
  return readBundle(dir).then(
    () => true,
    () => false,
  );
}

/**
 * The bundle of a checkpoint: found in `cacheDir` by the checkpoint's content, or else compiled into it. Processes that
 * ask at once compile once. What killed compilations left behind is removed, and a damaged bundle compiled again.
 * @throws TesseraError as compileCheckpoint
 */
export async function ensureBundle(
  checkpointDir: string,
  cacheDir: string,
  options: EnsureOptions,
): Promise<EnsuredBundle> {
  const { cut, kvCache, signal } = options;
  const checkpoint = resolve(checkpointDir);
  const cache = resolve(cacheDir);
  await requireModel(checkpoint);
  const weights = await decideWeights(checkpoint, options.weights);
  const form = { weights, cut, kvCache };
  const stem = `${options.name ?? modelName(checkpoint)}-${wordsOfForm(form).join('-')}-`;
  await mkdir(cache, { recursive: true });
  const memo = await DigestMemo.open(join(cache, 'digests.json'));
  let checked: Promise<void> | undefined;
  // Gigabytes are hashed only of what would be compiled. Where a bundle of that name is, this may be the one: it needs no room.
  const check = async (): Promise<void> => {
    const isNew = !(await readdir(cache)).some((name) => name.startsWith(stem));
    if (isNew) await removeAbandoned(cache);
    await requireCompilable(checkpoint, form, isNew ? cache : undefined);
  };
  const digestOf = (path: string): Promise<string> => memo.digest(path, signal, () => (checked ??= check()));
  const digest = await contentDigest(checkpoint, form, digestOf);
  await memo.save();
  const dir = join(cache, `${stem}${digest.slice(0, 12)}`);
  if (await isWhole(dir)) return { dir, compiled: false };
  const compileOnce = async (): Promise<EnsuredBundle> => {
    if (await isWhole(dir)) return { dir, compiled: false };
    await removeAbandoned(cache);
    await rm(dir, { recursive: true, force: true });
    try {
      await compileCheckpoint(checkpoint, dir, { ...options, weights, digest });
      return { dir, compiled: true };
    } catch (error) {
      // Another process may have put the same bundle there first.
      if (await isWhole(dir)) return { dir, compiled: false };
      throw error;
    }
  };
  return withFileLock(`${dir}.lock`, signal, compileOnce, (path, holder) =>
    options.onNote?.(`waiting for ${holder}, which compiles this model and holds ${path}`),
  );
}
