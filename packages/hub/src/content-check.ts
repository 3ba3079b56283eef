import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { HubFile } from './listing.js';

/** A file's hash, as the hub makes it: to be fed with all of the file's bytes. */
export function startHash({ bytes, hash }: HubFile): Hash {
  if (hash.algorithm === 'sha256') return createHash('sha256');
  return createHash('sha1').update(`blob ${bytes}\0`);
}

/** Feeds a hash with the first `bytes` of a file. */
export async function hashFile(hash: Hash, path: string, bytes: number, signal?: AbortSignal): Promise<void> {
  if (bytes === 0) return;
  for await (const part of createReadStream(path, { end: bytes - 1, highWaterMark: 1 << 20, signal })) {
    hash.update(part as Buffer);
  }
}
