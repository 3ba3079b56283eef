import { readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { sep } from 'node:path';

/** Whether this system tells which files a process has open. */
export const tellsOpenFiles = process.platform === 'linux';

/** The files in a folder, or below, that this process has open. */
export function openFilesIn(folder: string): string[] {
  const within = realpathSync(folder) + sep;
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(within) ? [path] : [];
    } catch {
      // Closed meanwhile.
      return [];
    }
  });
}
