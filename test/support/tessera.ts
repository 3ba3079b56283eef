import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { bundleCache, root } from './deployment.js';

const command = join(root, 'packages/cli/dist/main.js');

export interface CommandEnd {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one `tessera` command line to its end, as a shell would. */
export async function tessera(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CommandEnd> {
  const child = spawn(process.execPath, [command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status, stdout, stderr };
}

/** `tessera up --json` in the foreground of a process of its own. */
export interface Up {
  /** host:port of the gateway. */
  readonly gateway: string;
  /** Every process that it started. */
  readonly pids: readonly number[];
  readonly process: ChildProcess;
  /** Resolves with the exit status. */
  readonly ended: Promise<number | null>;
}

export async function tesseraUp(args: readonly string[] = []): Promise<Up> {
  const child = spawn(process.execPath, [command, 'up', '--json', '--port', '0', '--cache', bundleCache, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const pids: number[] = [];
  const gateway = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line = JSON.parse(text) as { pid?: number; ready?: boolean; gateway?: string };
      if (line.pid !== undefined) pids.push(line.pid);
      if (line.ready === true) resolve(line.gateway ?? '');
    });
    void ended.then((status) => reject(new Error(`tessera up ended with ${status}`)));
  });
  return { gateway, pids, process: child, ended };
}

/** Whether a process of this id is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
