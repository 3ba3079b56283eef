import { readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasEnded, thisHost } from './host.js';

const pollMs = 100;
/** A holder says this often that it lives; silent for much longer, it is taken for dead. */
const heartbeatMs = 5_000;
const silentMs = 60_000;
/** Who waits longer than this is told for what. */
const noteMs = 3_000;

/** What this process holds, or is about to take: its own id in a file does not say so. */
const own = new Set<string>();

async function isAnothers(path: string): Promise<boolean> {
  try {
    const [host = '', pid] = (await readFile(path, 'utf8')).split(' ');
    // An empty file is one whose holder is just writing its name.
    if (pid !== undefined && hasEnded(host, Number(pid))) return false;
    return Date.now() - (await stat(path)).mtimeMs < silentMs;
  } catch {
    return false;
  }
}

/** Who a lock is waited for, in words. */
async function holderOf(path: string): Promise<string> {
  if (own.has(path)) return 'this process';
  const [host, pid] = (await readFile(path, 'utf8').catch(() => '')).split(' ');
  if (pid === undefined) return 'another process';
  return host === thisHost ? `process ${pid}` : `process ${pid} of ${host}`;
}

/** Takes the lock, or breaks that of a dead holder and takes it. */
async function taken(path: string): Promise<boolean> {
  if (own.has(path)) return false;
  own.add(path);
  let isTaken = false;
  try {
    while (!isTaken) {
      try {
        await writeFile(path, `${thisHost} ${process.pid}`, { flag: 'wx' });
        isTaken = true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        if (await isAnothers(path)) break;
        await rm(path, { force: true });
      }
    }
  } finally {
    if (!isTaken) own.delete(path);
  }
  return isTaken;
}

/**
 * Runs `body` while holding a lock file, so that two processes do not do the same long work at once. It saves work and
 * guards nothing: where a dead holder's lock is broken by two at the same instant, both go on.
 * @param onWait told once, after a few seconds of waiting, which file is waited for, and who has it
 */
export async function withFileLock<T>(
  lockFile: string,
  signal: AbortSignal | undefined,
  body: () => Promise<T>,
  onWait?: (path: string, holder: string) => void,
): Promise<T> {
  const path = resolve(lockFile);
  const startedAt = performance.now();
  let isTold = false;
  signal?.throwIfAborted();
  while (!(await taken(path))) {
    if (!isTold && performance.now() - startedAt > noteMs) {
      isTold = true;
      onWait?.(path, await holderOf(path));
    }
    await sleep(pollMs, undefined, { signal });
  }
  const heartbeat = setInterval(() => {
    const now = new Date();
    // A lock that was taken away cannot be kept alive; the work goes on without it.
    utimes(path, now, now).catch(() => undefined);
  }, heartbeatMs);
  heartbeat.unref();
  try {
    return await body();
  } finally {
    clearInterval(heartbeat);
    await rm(path, { force: true });
    own.delete(path);
  }
}
