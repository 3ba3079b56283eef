import { randomBytes } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { hasEnded, thisHost } from '@tessera/flow';

const marker = '.part-';
/** As temporarySibling ends its names: writer's host and process. Nothing else in a folder is ours to remove. */
const writer = /\.part-([A-Za-z0-9]*)-(\d+)-[0-9a-f]{8}$/;
/** Of another machine's leftovers nothing is known but their age; no compilation goes this long without writing. */
const abandonedAfterMs = 24 * 60 * 60 * 1000;

/** The names this process gave. Another's may have its id. */
const own = new Set<string>();

/** Where to write what shall appear as `path` when it is whole: on the same file system, and telling who writes. */
export function temporarySibling(path: string): string {
  const sibling = `${path}${marker}${thisHost}-${process.pid}-${randomBytes(4).toString('hex')}`;
  own.add(basename(sibling));
  return sibling;
}

/** Removes what writers that were killed left in a folder: of everything, or of one `name` that they were to make. */
export async function removeAbandoned(dir: string, name?: string): Promise<void> {
  for (const found of await readdir(dir)) {
    if (name !== undefined && !found.startsWith(`${name}${marker}`)) continue;
    const path = join(dir, found);
    // What cannot be removed, as another user's, is in nobody's way.
    if (await isAbandoned(path)) await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  const name = basename(path);
  const [, host = '', pid] = writer.exec(name) ?? [];
  if (pid === undefined || own.has(name)) return false;
  if (hasEnded(host, Number(pid))) return true;
  return Date.now() - (await lastWritten(path)) > abandonedAfterMs;
}

/** A folder's own time says only when a file of it was made. */
async function lastWritten(path: string): Promise<number> {
  const files = await readdir(path).catch(() => []);
  const times = [path, ...files.map((file) => join(path, file))].map((each) =>
    stat(each).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    ),
  );
  return Math.max(...(await Promise.all(times)));
}
