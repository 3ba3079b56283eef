// What a run of the tests has left behind. Every process of a run inherits the run's folder as its folder for temporary
// files, and is found by that where the system shows the environment of processes (Linux).
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** The folder of a run: its name tells whose it is. */
export const folderPrefix = 'tessera-test-';

/** Removes the folders of runs that were killed. */
export function removeAbandonedFolders(parent) {
  for (const name of readdirSync(parent)) {
    const [, pid] = /^tessera-test-(\d+)-\w+$/.exec(name) ?? [];
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(parent, name), { recursive: true, force: true });
  }
}

/** The processes of a run that still live, besides this one: their ids and command lines. */
export function processesOf(folder) {
  return processIds().flatMap((pid) => {
    if (pid === process.pid) return [];
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`TMPDIR=${folder}`)) return [];
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      // One that has ended and waits for its parent to ask how has no command line.
      return command === '' ? [] : [{ pid, command }];
    } catch {
      // It ended meanwhile, or is another user's.
      return [];
    }
  });
}

/** Waits until the processes of a run have ended; those that have not after that long are ended and returned. */
export async function endProcessesOf(folder, patienceMs) {
  const giveUpAt = Date.now() + patienceMs;
  for (;;) {
    const left = processesOf(folder);
    if (left.length === 0) return [];
    if (Date.now() > giveUpAt) {
      for (const { pid } of left) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It ended meanwhile.
        }
      }
      return left;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function processIds() {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
