import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { fileDigest } from './content-digest.js';
import { temporarySibling } from './temporary-sibling.js';

const memoFile = z.record(
  z.string(),
  z.object({ bytes: z.number(), modifiedMs: z.number(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
);

/** Files that are gone would pile up; beyond this many the memo starts afresh. */
const maxEntries = 10_000;

/** Remembers the digests of files by path, size and time of change, so that a start does not read gigabytes again. */
export class DigestMemo {
  private changed = false;

  private constructor(
    private readonly path: string,
    private readonly entries: z.infer<typeof memoFile>,
  ) {}

  /** A memo that cannot be read is an empty one: it only saves time. */
  static async open(path: string): Promise<DigestMemo> {
    try {
      const entries = memoFile.parse(JSON.parse(await readFile(path, 'utf8')));
      return new DigestMemo(path, Object.keys(entries).length > maxEntries ? {} : entries);
    } catch {
      return new DigestMemo(path, {});
    }
  }

  /**
   * SHA-256 (hex) of a file.
   * @param before called where the file must be read, and waited for
   */
  async digest(path: string, signal?: AbortSignal, before?: () => Promise<void>): Promise<string> {
    const { size: bytes, mtimeMs: modifiedMs } = await stat(path);
    const known = this.entries[path];
    if (known?.bytes === bytes && known.modifiedMs === modifiedMs) return known.sha256;
    await before?.();
    const sha256 = await fileDigest(path, signal);
    this.entries[path] = { bytes, modifiedMs, sha256 };
    this.changed = true;
    return sha256;
  }

  async save(): Promise<void> {
    if (!this.changed) return;
    const draft = temporarySibling(this.path);
    await writeFile(draft, JSON.stringify(this.entries));
    await rename(draft, this.path);
  }
}
