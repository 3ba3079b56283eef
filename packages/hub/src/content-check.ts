import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { sizeOf } from './cache.js';
import type { HubFile } from './listing.js';

/** What a file must be. */
type Expected = Pick<HubFile, 'bytes' | 'hash'>;

/** A file's hash, as the hub makes it: to be fed with all of the file's bytes. */
export function startHash({ bytes, hash }: Expected): Hash {
  if (hash.algorithm === 'sha256') return createHash('sha256');
  return createHash('sha1').update(`blob ${bytes}\0`);
}

/** What long reading is told, and tells. */
export interface Reading {
  readonly signal?: AbortSignal | undefined;
  /** Told how many bytes more were read. */
  readonly onRead?: (bytes: number) => void;
}

/** Feeds a hash with the first `bytes` of a file. */
export async function hashFile(hash: Hash, path: string, bytes: number, { signal, onRead }: Reading): Promise<void> {
  if (bytes === 0) return;
  for await (const part of createReadStream(path, { end: bytes - 1, highWaterMark: 1 << 20, signal })) {
    hash.update(part as Buffer);
    onRead?.((part as Buffer).length);
  }
}

/**
 * Whether a file is there and of its size; to `verify` is to read it and to compare its hash, too. What has the name of a blob is
 * put there when it is whole.
 */
export async function isRight(path: string, file: Expected, verify: boolean, reading: Reading): Promise<boolean> {
  if ((await sizeOf(path)) !== file.bytes) return false;
  if (!verify) return true;
  const hash = startHash(file);
  try {
    await hashFile(hash, path, file.bytes, reading);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw cause;
  }
  return hash.digest('hex') === file.hash.hex;
}
