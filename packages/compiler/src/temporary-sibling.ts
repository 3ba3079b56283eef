import { randomBytes } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive, thisHost } from '@tessera/flow';

const marker = '.part-';
/** Of another machine's leftovers nothing is known but their age; no compilation goes this long without writing. */
const abandonedAfterMs = 24 * 60 * 60 * 1000;

/** Where to write what shall appear as `path` when it is whole: on the same file system, and telling who writes. */
export function temporarySibling(path: string): string {
  return `${path}${marker}${thisHost}-${process.pid}-${randomBytes(4).toString('hex')}`;
}

/** Removes what writers that were killed left in a folder. */
export async function removeAbandoned(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    const [writerHost, pid] = name.split(marker)[1]?.split('-') ?? [];
    if (writerHost === undefined || pid === undefined) continue;
    const path = join(dir, name);
    const found = await stat(path).catch(() => undefined);
    const abandoned =
      writerHost === thisHost ? !isAlive(Number(pid)) : found && Date.now() - found.mtimeMs > abandonedAfterMs;
    if (abandoned) await rm(path, { recursive: true, force: true });
  }
}
