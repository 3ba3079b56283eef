import { hostname } from 'node:os';

/** This machine, or container, in letters and digits; for names of files that say who writes them. */
export const thisHost = hostname().replaceAll(/[^A-Za-z0-9]/g, '');

/** Whether a process of this machine runs. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
