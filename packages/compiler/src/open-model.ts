import { stat } from 'node:fs/promises';
import { TesseraError } from '@tessera/protocol';
import type { PublishedModel } from './checkpoint/published-model.js';
import { FolderModel } from './folder-model.js';
import { GgufCheckpoint } from './gguf/gguf-checkpoint.js';

/** Whether a path is a file, which a model of GGUF is, and not a folder. */
export async function isModelFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true;
}

/**
 * Opens a model as it is published: a folder, or a GGUF file. Of a GGUF model in several files any will do.
 * @throws TesseraError CHECKPOINT_INVALID naming the file at fault
 */
export async function openModel(path: string): Promise<PublishedModel> {
  if (await isModelFile(path)) return GgufCheckpoint.open(path);
  if (path.endsWith('.gguf')) throw new TesseraError('CHECKPOINT_INVALID', `${path}: is no file that can be read`);
  return FolderModel.open(path);
}
