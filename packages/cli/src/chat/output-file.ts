import { access, open, rm } from 'node:fs/promises';
import { TesseraError } from '@tessera/protocol';

/**
 * Makes sure that a file can be written, before work is done for it: opened as it will be, for permissions alone do not
 * tell. What is there stays as it is, and what is not there is not left behind.
 * @throws TesseraError REQUEST_INVALID that names the file and the reason
 */
export async function requireWritable(path: string): Promise<void> {
  const isNew = await access(path).then(
    () => false,
    () => true,
  );
  try {
    await (await open(path, 'a')).close();
  } catch (reason) {
    throw new TesseraError('REQUEST_INVALID', `${path} cannot be written: ${(reason as Error).message}`);
  }
  if (isNew) await rm(path, { force: true });
}
