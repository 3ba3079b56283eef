// What the scripts share that run the tests with another program than the machine's own.
import { spawn, spawnSync } from 'node:child_process';
import { delimiter, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const root = resolve(import.meta.dirname, '..');
/** Not under version control, and outside of the lockfile's packages. */
export const cache = join(root, '.cache');

/** Runs a command to its end; ends this process with its status when that is not 0. */
export function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (error !== undefined) {
    console.error(`${command} cannot be run: ${error.message}`);
    process.exit(1);
  }
  if (status !== 0) process.exit(status ?? 1);
}

/** Runs the tests under a given Node; what interrupts this process interrupts them, and they do not outlive it. */
export async function runTests(node, args, env) {
  const guard = pathToFileURL(join(root, 'scripts/exit-with-parent.mjs')).href;
  const tests = spawn(node, ['--import', guard, join(root, 'scripts/test.mjs'), ...args], {
    cwd: root,
    env,
    // A group of its own: Ctrl-C comes here, and is passed on once.
    detached: true,
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => tests.kill(signal));
  const status = await new Promise((done) => tests.once('exit', (code) => done(code ?? 1)));
  if (status !== 0) process.exit(status);
}

/** Runs a command and returns what it prints; undefined when it fails. */
export function output(command, args, options = {}) {
  const { status, stdout } = spawnSync(command, args, { cwd: root, encoding: 'utf8', ...options });
  return status === 0 ? stdout.trim() : undefined;
}

/** This process's environment with a folder before all others on PATH. */
export function withPath(folder) {
  return { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH ?? ''}` };
}

/** The arguments before `--`, and those after it. */
export function splitArguments(argv) {
  const at = argv.indexOf('--');
  return at < 0 ? [argv, []] : [argv.slice(0, at), argv.slice(at + 1)];
}
