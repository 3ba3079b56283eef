import { hostname } from 'node:os';

/** This machine, or container, in letters and digits; for names of files that say who writes them. */
export const thisHost = hostname().replaceAll(/[^A-Za-z0-9]/g, '');

/**
 * Whether another process that said to be `pid` of `host` has certainly ended. This process's own id is then that of one before
 * it: in a container each that is started anew has the id, and the host's name, of the one that was killed. That a process of
 * an id lives says nothing: after a start of the machine it may be any.
 */
export function hasEnded(host: string, pid: number): boolean {
  return host === thisHost && (pid === process.pid || !isAlive(pid));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
