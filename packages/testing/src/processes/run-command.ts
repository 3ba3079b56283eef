import { spawn } from 'node:child_process';
import { root } from '../repository.js';
import { type CommandEnd, captureOutput } from './capture-output.js';

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
  return captureOutput(child).ended;
}
