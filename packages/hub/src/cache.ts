import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readFile, readlink, rename, rm, stat, statfs, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { TesseraError } from '@tessera/protocol';
import type { ContentHash } from './listing.js';

/** Of a file system that is full, nothing works well. */
const spareBytes = 64 * 1024 * 1024;

/** One model's folder in the cache that Hugging Face's tools share: blobs by hash, snapshots that link to them, refs. */
export class RepositoryCache {
  readonly dir: string;

  constructor(
    readonly cacheDir: string,
    repository: string,
  ) {
    this.dir = join(cacheDir, `models--${repository.replaceAll('/', '--')}`);
  }

  blob(hash: ContentHash): string {
    return join(this.dir, 'blobs', hash.hex);
  }

  snapshot(commit: string): string {
    return join(this.dir, 'snapshots', commit);
  }

  /** @throws TesseraError CONFIG_INVALID where nothing can be written */
  async create(): Promise<void> {
    await writing(this.dir, () => mkdir(join(this.dir, 'blobs'), { recursive: true }));
  }

  /** The commit that a branch or tag was when it was last asked for; a commit is its own. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const text = await readFile(join(this.dir, 'refs', revision), 'utf8').catch(() => '');
    return isCommit(text.trim()) ? text.trim() : undefined;
  }

  async keepRef(revision: string, commit: string): Promise<void> {
    if (isCommit(revision)) return;
    const path = join(this.dir, 'refs', revision);
    const draft = temporary(path);
    await writing(path, async () => {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(draft, commit);
      await rename(draft, path);
    });
  }

  /** Puts a blob into a snapshot under its name. */
  async link(commit: string, path: string, hash: ContentHash): Promise<void> {
    const at = join(this.snapshot(commit), path);
    const target = relative(dirname(at), this.blob(hash));
    if ((await readlink(at).catch(() => undefined)) === target) return;
    const draft = temporary(at);
    await writing(at, async () => {
      await mkdir(dirname(at), { recursive: true });
      // File systems without links get a copy, as with Hugging Face's own tools.
      await symlink(target, draft).catch(() => copyFile(this.blob(hash), draft));
      await rename(draft, at);
    });
  }

  /** @throws TesseraError STORAGE_FULL where so many bytes have no room */
  async requireRoom(bytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.dir);
    const free = bavail * bsize;
    if (bytes > 0 && bytes + spareBytes > free)
      throw noRoom(this.dir, `${mebibytes(bytes)} are to come and ${mebibytes(free)} are free`);
  }
}

export const isCommit = (text: string): boolean => /^[0-9a-f]{40}$/.test(text);

/** The size of a file; undefined where none is there. */
export async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size;
}

/** Says of what cannot be written which folder that is. */
export async function writing<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EFBIG') throw noRoom(path, 'a file may not be so large there (EFBIG)', cause);
    if (code === 'ENOSPC' || code === 'EDQUOT') throw noRoom(path, 'the disk is full', cause);
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOTDIR') {
      throw new TesseraError('CONFIG_INVALID', `${path} cannot be written (${code}); HF_HOME names another folder`, {
        cause,
      });
    }
    throw cause;
  }
}

export async function removeQuietly(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => undefined);
}

export function noRoom(path: string, why: string, cause?: unknown): TesseraError {
  return new TesseraError('STORAGE_FULL', `${path} has no room: ${why}; make some, or name another folder as HF_HOME`, {
    cause,
  });
}

function temporary(path: string): string {
  return `${path}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
