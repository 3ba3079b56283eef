import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { maxJsonBytes } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';

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
