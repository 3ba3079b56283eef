import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { bundleCacheDir } from '@tessera/testing/demo-model/files';
import { type CommandEnd, captureOutput } from '@tessera/testing/processes/capture-output';
import { root } from '@tessera/testing/repository';

/** A test that is killed does not leave what it started. */
const exitWithParent = pathToFileURL(join(root, 'scripts/exit-with-parent.mjs')).href;
const command = ['--import', exitWithParent, join(root, 'packages/cli/dist/main.js')];

/** One `tessera` command line under way. */
export interface Running {
  readonly process: ChildProcess;
  /** What it has written so far. */
  stdout(): string;
  stderr(): string;
  readonly ended: Promise<CommandEnd>;
}

/**
 * Starts one `tessera` command line, as a shell would.
 * @param under a command that is given Node and its arguments, and becomes it
 */
export function startTessera(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  under: readonly string[] = [],
): Running {
  const [file, ...rest] = [...under, process.execPath, ...command, ...args];
  const child = spawn(file as string, rest, {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, ...env },
  });
  const { stdout, stderr, ended } = captureOutput(child);
  return { process: child, stdout, stderr, ended };
}

/** Runs one `tessera` command line to its end. */
export function tessera(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  under: readonly string[] = [],
): Promise<CommandEnd> {
  return startTessera(args, env, under).ended;
}

/** `tessera up --json` in the foreground of a process of its own. */
export interface Up {
  /** host:port of the gateway. */
  readonly gateway: string;
  /** Every process that it started, as it told of them. */
  readonly processes: readonly UpProcess[];
  /** Their ids. */
  readonly pids: readonly number[];
  readonly process: ChildProcess;
  /** Resolves with the exit status. */
  readonly ended: Promise<number | null>;
}

interface UpProcess {
  readonly service: string;
  readonly address: string;
  readonly pid: number;
  /** host:port of its metrics; nats has none. */
  readonly metrics?: string;
}

export interface UpSurroundings {
  readonly env?: NodeJS.ProcessEnv;
  /** As the leader of a process group, as a shell's foreground job is. */
  readonly asGroup?: boolean;
}

export async function tesseraUp(
  args: readonly string[] = [],
  { env = {}, asGroup = false }: UpSurroundings = {},
): Promise<Up> {
  const child = spawn(
    process.execPath,
    [...command, 'up', '--json', '--port', '0', '--cache', bundleCacheDir, ...args],
    {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      env: { ...process.env, ...env },
      detached: asGroup,
    },
  );
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const processes: UpProcess[] = [];
  const pids: number[] = [];
  const gateway = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout as Readable }).on('line', (text) => {
      const line = JSON.parse(text) as UpProcess | { pid?: undefined; ready?: boolean; gateway?: string };
      if (line.pid !== undefined) {
        processes.push(line);
        pids.push(line.pid);
      } else if (line.ready === true) resolve(line.gateway ?? '');
    });
    void ended.then((status) => reject(new Error(`tessera up ended with ${status}`)));
  });
  return { gateway, processes, pids, process: child, ended };
}
