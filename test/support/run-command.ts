import { spawn } from 'node:child_process';
import { root } from '@tessera/testing/repository';
import type { CommandEnd } from './tessera.js';

export interface CommandSurroundings {
  /** The repository's root if absent. */
  readonly cwd?: string;
  /** Besides those of this process. */
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs a command to its end. A command that there is not ends with status null and the reason in `stderr`. */
export function runCommand(
  command: string,
  args: readonly string[],
  { cwd = root, env = {} }: CommandSurroundings = {},
): Promise<CommandEnd> {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => {
    child.once('error', ({ message }) => resolve({ status: null, stdout, stderr: message }));
    child.once('close', (status) => resolve({ status, stdout, stderr }));
  });
}
