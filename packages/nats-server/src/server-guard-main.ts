import { existsSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';

// A small process beside a nats-server. It holds the end of a pipe whose other end is the server's parent: when that
// was killed, and could not do so itself, the guard ends the server and removes its files. No system has another way
// to hear of a parent's SIGKILL that all of them have.
//
// It is started with the server's process id and its folder, and hears lines on standard input:
//   after PID   end the server only when this process has ended, too: one that drains still needs it
//   gone        the server has ended
//   done        the parent has cleaned up

/** The most that processes which drain may take; then the server ends all the same. */
const drainMs = 120_000;
const stopMs = 5000;
const pollMs = 100;

const [serverPid, dir] = [Number(process.argv[2]), process.argv[3] as string];
const after = new Set<number>();
let gone = false;

// Ctrl-C in a terminal and a session's end are for the parent: this process ends after it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const [word, pid] = line.split(' ');
  if (word === 'after') after.add(Number(pid));
  else if (word === 'gone') gone = true;
  else if (word === 'done') process.exit(0);
});
lines.on('close', () => void cleanUp());

async function cleanUp(): Promise<void> {
  await until(() => ![...after].some(isAlive), drainMs);
  // A parent that ended by itself has removed the folder, and its server's process id may be another's by now.
  if (!gone && existsSync(dir)) await endServer();
  rmSync(dir, { recursive: true, force: true });
  process.exit(0);
}

async function endServer(): Promise<void> {
  signal('SIGTERM');
  await until(() => !isAlive(serverPid), stopMs);
  if (isAlive(serverPid)) signal('SIGKILL');
}

function signal(name: NodeJS.Signals): void {
  try {
    process.kill(serverPid, name);
  } catch {
    // It has ended by itself.
  }
}

async function until(check: () => boolean, patienceMs: number): Promise<void> {
  const giveUpAt = performance.now() + patienceMs;
  while (!check() && performance.now() < giveUpAt) await new Promise((resolve) => setTimeout(resolve, pollMs));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
