import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TesseraError } from '@tessera/protocol';
import type { PublishedModel } from './checkpoint/published-model.js';
import { FolderModel } from './folder-model.js';
import { GgufCheckpoint } from './gguf/gguf-checkpoint.js';
import { GgufFiles } from './gguf/gguf-files.js';
import { storedWeights } from './gguf/stored-weights.js';
import type { WeightPrecision } from './graph/index.js';

/** Whether a path is a file, which a model of GGUF is, and not a folder. */
export async function isModelFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true;
}

const noFile = (path: string): TesseraError =>
  new TesseraError('CHECKPOINT_INVALID', `${path}: is no file that can be read`);

/**
 * That a path is a file, or a folder with a config.
 * @throws TesseraError CHECKPOINT_INVALID naming what is missing
 */
export async function requireModel(path: string): Promise<void> {
  if (await isModelFile(path)) return;
  if (path.endsWith('.gguf')) throw noFile(path);
  const config = join(path, 'config.json');
  if (!(await isModelFile(config))) throw new TesseraError('CHECKPOINT_INVALID', `${config}: is missing`);
}

/**
 * Opens a model as it is published: a folder, or a GGUF file. Of a GGUF model in several files any will do.
 * @throws TesseraError CHECKPOINT_INVALID naming the file at fault
 */
export async function openModel(path: string): Promise<PublishedModel> {
  if (await isModelFile(path)) return GgufCheckpoint.open(path);
  if (path.endsWith('.gguf')) throw noFile(path);
  return FolderModel.open(path);
}

/** How weights are to be held: `auto` is float32, and of a GGUF file what comes nearest to what it stores. */
export type WantedWeights = WeightPrecision | 'auto';

/** @throws TesseraError CHECKPOINT_INVALID for a file that cannot be read */
export async function decideWeights(path: string, wanted: WantedWeights): Promise<WeightPrecision> {
  if (wanted !== 'auto') return wanted;
  if (!(await isModelFile(path))) return 'float32';
  const files = await GgufFiles.open(path);
  try {
    return storedWeights(files.tensors.values());
  } finally {
    await files.close();
  }
}
