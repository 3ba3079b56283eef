import { createHash, randomBytes } from 'node:crypto';
import {
  copyFile,
  lstat,
  mkdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  statfs,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { TesseraError } from '@tessera/protocol';
import type { ContentHash, HubFile } from './listing.js';
import { isCommit } from './model-id.js';

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

  /** Where our own note of a folder's listing is: what is beside `blobs`, `snapshots` and `refs` other tools pass over. */
  listing(commit: string, folder: string): string {
    const which = folder === '' ? '' : `-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}`;
    return join(this.dir, '.tessera', `${commit}${which}.json`);
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
    await this.replace(join(this.dir, 'refs', revision), commit);
  }

  /** Writes a small file, at once; one that says the same already is left, and may be one that cannot be written. */
  async replace(path: string, text: string): Promise<void> {
    if ((await readFile(path, 'utf8').catch(() => undefined)) === text) return;
    const draft = temporary(path);
    await writing(path, async () => {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(draft, text);
      await rename(draft, path);
    });
  }

  /** Whether a snapshot has a file: a link to its blob, or, where no links can be made, a file of its size. */
  async isLinked(commit: string, { path, bytes, hash }: HubFile): Promise<boolean> {
    const at = join(this.snapshot(commit), path);
    const found = await lstat(at).catch(() => undefined);
    if (found?.isFile()) return found.size === bytes;
    return (await readlink(at).catch(() => undefined)) === relative(dirname(at), this.blob(hash));
  }

  /** Puts a blob into a snapshot under its name. */
  async link(commit: string, path: string, hash: ContentHash): Promise<void> {
    const at = join(this.snapshot(commit), path);
    const target = relative(dirname(at), this.blob(hash));
    const draft = temporary(at);
    try {
      await writing(at, async () => {
        await mkdir(dirname(at), { recursive: true });
        await symlink(target, draft).catch((cause) => {
          if (!isWithoutLinks(cause)) throw cause;
          // As Hugging Face's own tools do it.
          return copyFile(this.blob(hash), draft);
        });
        await rename(draft, at);
      });
    } catch (reason) {
      await removeQuietly(draft);
      throw reason;
    }
  }

  /** Whether the file system has links; on one that has none, each file of a snapshot takes its room twice. */
  async hasLinks(): Promise<boolean> {
    const draft = temporary(join(this.dir, 'blobs', 'link'));
    try {
      await symlink('nothing', draft);
      await removeQuietly(draft);
      return true;
    } catch (cause) {
      return !isWithoutLinks(cause);
    }
  }

  /** @throws TesseraError STORAGE_FULL where so many bytes have no room */
  async requireRoom(bytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.dir);
    const free = bavail * bsize;
    if (bytes > 0 && bytes + spareBytes > free)
      throw noRoom(this.dir, `${mebibytes(bytes)} are to come and ${mebibytes(free)} are free`);
  }
}

/** The size of a file; undefined where none is there. */
export async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size;
}

/** Whether a file of a snapshot is one of its own, and no link to a blob. */
export async function isCopy(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isFile() ?? false;
}

/** FAT has no links, nor have some network shares; Windows has them for those who may make them. */
function isWithoutLinks(cause: unknown): boolean {
  return ['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes((cause as NodeJS.ErrnoException).code ?? '');
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
