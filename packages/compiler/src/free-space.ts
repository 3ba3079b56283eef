import { statfs } from 'node:fs/promises';
import { TesseraError } from '@tessera/protocol';

/** What a bundle has beside its weights: graphs, tokenizer, manifest. */
const besideWeightsBytes = 64 * 1024 * 1024;

/** Whole megabytes, as disks are sold. */
const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6).toLocaleString('en')} MB`;

/**
 * Whether a folder's disk has room for a bundle, asked before anything is written to it. Who writes there at the same time is not
 * known, so that a disk can still be full in the end.
 * @throws TesseraError STORAGE_FULL saying how much is needed and how much there is
 */
export async function requireFreeSpace(dir: string, weightBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  const needed = weightBytes + besideWeightsBytes;
  if (bavail * bsize >= needed) return;
  const message = `the bundle needs ${megabytes(needed)}, and the disk of ${dir} has ${megabytes(bavail * bsize)} free`;
  throw new TesseraError('STORAGE_FULL', message);
}
