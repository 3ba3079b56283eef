import { readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, thisHost } from './host.js';

const pollMs = 100;
/** A holder says this often that it lives; silent for much longer, it is taken for dead. */
const heartbeatMs = 5_000;
const silentMs = 60_000;

async function isHeld(path: string): Promise<boolean> {
  try {
    const [host, pid] = (await readFile(path, 'utf8')).split(' ');
    // An empty file is one whose holder is just writing its name.
    if (host === thisHost && pid !== undefined) return isAlive(Number(pid));
    return Date.now() - (await stat(path)).mtimeMs < silentMs;
  } catch {
    return false;
  }
}

/**
 * Runs `body` while holding a lock file, so that two processes do not do the same long work at once. It saves work and
 * guards nothing: where a dead holder's lock is broken by two at the same instant, both go on.
 */
export async function withFileLock<T>(
  path: string,
  signal: AbortSignal | undefined,
  body: () => Promise<T>,
): Promise<T> {
  for (;;) {
    signal?.throwIfAborted();
    try {
      await writeFile(path, `${thisHost} ${process.pid}`, { flag: 'wx' });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (await isHeld(path)) await sleep(pollMs, undefined, { signal });
      else await rm(path, { force: true });
    }
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
  }
}
