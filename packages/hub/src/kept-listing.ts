import { readFile } from 'node:fs/promises';
import { TesseraError } from '@tessera/protocol';
import type { RepositoryCache } from './cache.js';
import { contentHash, type HubFile, isSize, type Listing } from './listing.js';
import { isSafePath } from './model-id.js';

/**
 * Keeps what the hub has listed of a folder of a commit, which never changes. With it a snapshot says by itself, later and
 * without the hub, whether it is whole, of what bytes, and which of several models an id means.
 */
export async function keepListing(
  cache: RepositoryCache,
  commit: string,
  folder: string,
  { files, folders }: Listing,
): Promise<void> {
  const lines = files.map(({ path, bytes, hash }) => ({ path, bytes, hash: hash.hex }));
  try {
    await cache.replace(cache.listing(commit, folder), `${JSON.stringify({ files: lines, folders })}\n`);
  } catch (reason) {
    // A cache that others fill, and that cannot be written, serves without.
    if (!(reason instanceof TesseraError) || reason.code !== 'CONFIG_INVALID') throw reason;
  }
}

/** What was kept; undefined where nothing was, or it is not as it was written. */
export async function keptListing(
  cache: RepositoryCache,
  commit: string,
  folder: string,
): Promise<Listing | undefined> {
  try {
    const text = await readFile(cache.listing(commit, folder), 'utf8');
    const kept = JSON.parse(text) as { files: { path: string; bytes: number; hash: string }[]; folders: string[] };
    const files = kept.files.map(({ path, bytes, hash }): HubFile => {
      const known = contentHash(hash);
      if (!isSafePath(path) || !isSize(bytes) || known === undefined) throw new Error(`${path} is no file`);
      return { path, bytes, hash: known };
    });
    return { files, folders: [...kept.folders] };
  } catch {
    return undefined;
  }
}
