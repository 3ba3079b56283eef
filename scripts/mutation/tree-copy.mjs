// A copy of the tree for mutants: nothing is written where people work.
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { behindSwitch } from './behind-switch.mjs';
import { mutated } from './mutants.mjs';

export class TreeCopy {
  constructor(root, folder) {
    this.root = root;
    this.folder = folder;
  }

  /** The tree as it is; what is installed is shared, but that the tree's own packages are the copy's. */
  make() {
    const leaveOut = /(^|\/)(node_modules|\.git)$/;
    cpSync(this.root, this.folder, {
      recursive: true,
      preserveTimestamps: true,
      verbatimSymlinks: true,
      filter: (from) => !leaveOut.test(from),
    });
    const installed = join(this.root, 'node_modules');
    const here = join(this.folder, 'node_modules');
    mkdirSync(here);
    for (const name of readdirSync(installed)) {
      if (name === '@tessera')
        cpSync(join(installed, name), join(here, name), { recursive: true, verbatimSymlinks: true });
      else symlinkSync(join(installed, name), join(here, name));
    }
  }

  /** The folder of the TypeScript project that a source belongs to. */
  projectOf(path) {
    let folder = dirname(path);
    while (folder !== '.' && !existsSync(join(this.folder, folder, 'tsconfig.json'))) folder = dirname(folder);
    return folder;
  }

  /**
   * Those of the mutants, which are of one project, that TypeScript lets pass. As many at once as there are files with
   * mutants: an error tells by its file whose it is.
   */
  async compiling(mutants, onLooked = () => {}) {
    const rounds = [];
    for (const mutant of mutants) {
      const free = rounds.find((round) => round.every(({ path }) => path !== mutant.path));
      if (free === undefined) rounds.push([mutant]);
      else free.push(mutant);
    }
    const right = [];
    for (const round of rounds) {
      right.push(...(await this.#compilingRound(round)));
      onLooked(round.length);
    }
    return right;
  }

  async #compilingRound(mutants) {
    if (mutants.length === 0) return [];
    const project = this.projectOf(mutants[0].path);
    const originals = mutants.map(({ path }) => readFileSync(join(this.folder, path), 'utf8'));
    for (const [index, mutant] of mutants.entries()) this.write(mutant.path, mutated(originals[index], mutant));
    const { status, output } = await this.tsc(
      '-p',
      project,
      '--noEmit',
      '--incremental',
      'false',
      '--composite',
      'false',
    );
    for (const [index, { path }] of mutants.entries()) this.write(path, originals[index]);
    if (status === 0) return mutants;
    const blamed = new Set([...output.matchAll(/^(\S[^(\n]*)\(\d+,\d+\): error/gm)].map(([, path]) => path));
    const rest = mutants.filter(({ path }) => !blamed.has(path));
    // What is left was not looked at by itself; and an error in a file without a mutant is the fault of one in another.
    if (rest.length < mutants.length) return this.#compilingRound(rest);
    if (mutants.length === 1) return [];
    const half = mutants.length >> 1;
    return [
      ...(await this.#compilingRound(mutants.slice(0, half))),
      ...(await this.#compilingRound(mutants.slice(half))),
    ];
  }

  /** Puts all the mutants into the sources, each behind its switch, and builds what processes and threads run. */
  async putBehindSwitches(mutants) {
    for (const [path, own] of byPath(mutants)) {
      const toSwitch = relative(dirname(join(this.folder, path)), join(this.folder, 'scripts/mutation/switch.mjs'));
      this.write(path, behindSwitch(readFileSync(join(this.folder, path), 'utf8'), own, toSwitch));
    }
    for (const project of new Set(mutants.map(({ path }) => this.projectOf(path)))) {
      await this.build(project, '--noCheck');
    }
  }

  write(path, text) {
    writeFileSync(join(this.folder, path), text);
  }

  /** @throws Error with what TypeScript says */
  async build(project, ...options) {
    const { status, output } = await this.tsc('-b', project, ...options);
    if (status !== 0) throw new Error(`${project} does not build: ${output}`);
  }

  tsc(...args) {
    const compiler = join(this.root, 'node_modules/typescript/bin/tsc');
    const child = spawn(process.execPath, [compiler, ...args, '--pretty', 'false'], { cwd: this.folder });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
    return new Promise((done, fail) => {
      child.once('error', fail);
      child.once('close', (status) => done({ status: status ?? 1, output }));
    });
  }
}

/** Node 20 has no Map.groupBy for it. */
function byPath(mutants) {
  const groups = new Map();
  for (const mutant of mutants) groups.set(mutant.path, [...(groups.get(mutant.path) ?? []), mutant]);
  return groups;
}
