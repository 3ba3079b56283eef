import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TesseraError } from '@tessera/protocol';

/** Configuration files are small; a larger one is not what it says it is. tokenizer.json of 250 000 words has 30 MB. */
const maxJsonBytes = 256 * 1024 * 1024;

/**
 * A JSON file of a checkpoint; undefined when it is not there.
 * @throws TesseraError CHECKPOINT_INVALID naming a file that is not JSON
 */
export async function readJson(dir: string, name: string): Promise<unknown> {
  const path = join(dir, name);
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return undefined;
  if (found.size > maxJsonBytes) {
    throw new TesseraError('CHECKPOINT_INVALID', `${path}: is larger than ${maxJsonBytes} bytes`);
  }
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new TesseraError('CHECKPOINT_INVALID', `${path}: ${(cause as Error).message}`, { cause });
  }
}
