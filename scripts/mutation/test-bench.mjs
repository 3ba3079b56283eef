// Runs test files with a mutant on, or with none and a trail, in a process that is ended when it takes too long. What the
// tests leave behind under a mutant is ended too: each run has a folder of its own for temporary files.
import { fork } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { endProcessesOf } from '../leftovers.mjs';

/** What tests may leave to drain when they have ended. */
const leaveMs = 2000;
/** What loading a file may take: only what hangs takes longer. */
const loadMs = 600_000;

export class TestBench {
  #runner;
  /** Files whose modules the runner has. */
  #loaded = new Set();
  #runs = 0;

  constructor(folder, temporary) {
    this.folder = folder;
    this.temporary = temporary;
  }

  /**
   * What a new runner takes to load the file is not counted.
   * @returns {Promise<{ outcome: 'passed' | 'failed' | 'late', ms: number }>}
   */
  async run(file, { mutant = null, trail = null }, patienceMs) {
    this.#runner ??= await this.#start();
    if (!this.#loaded.has(file)) {
      await this.#run(file, { mutant: null, trail: null, loads: true }, loadMs);
      if (this.#runner === undefined) return { outcome: 'failed', ms: 0 };
      this.#loaded.add(file);
    }
    return await this.#run(file, { mutant, trail, loads: false }, patienceMs);
  }

  async #run(file, { mutant, trail, loads }, patienceMs) {
    const runner = this.#runner;
    const temporary = join(this.temporary, `run-${this.#runs++}`);
    mkdirSync(temporary);
    const env = {
      TESSERA_MUTANT: mutant,
      TESSERA_MUTANT_TRAIL: trail,
      TMPDIR: temporary,
      TMP: temporary,
      TEMP: temporary,
    };
    let timer;
    const late = new Promise((done) => {
      timer = setTimeout(() => done({ outcome: 'late', ms: patienceMs }), patienceMs);
    });
    const answered = new Promise((done) => {
      runner.once('message', ({ passed, ms }) => done({ outcome: passed ? 'passed' : 'failed', ms }));
      runner.once('exit', () => done({ outcome: 'failed', ms: 0 }));
    });
    runner.send({ file: join(this.folder, file), env, loads });
    const result = await Promise.race([late, answered]);
    clearTimeout(timer);
    for (const event of ['message', 'exit']) runner.removeAllListeners(event);
    if (result.outcome === 'late' || hasEnded(runner)) await this.end();
    await endProcessesOf(temporary, result.outcome === 'passed' ? leaveMs : 0);
    rmSync(temporary, { recursive: true, force: true, maxRetries: 3 });
    return result;
  }

  async #start() {
    const own = join(this.temporary, 'runner');
    mkdirSync(own, { recursive: true });
    const runner = fork(join(this.folder, 'scripts/mutation/test-runner.mjs'), [], {
      cwd: this.folder,
      env: { ...process.env, TMPDIR: own, TMP: own, TEMP: own, NODE_DISABLE_COMPILE_CACHE: '1' },
      stdio: 'ignore',
    });
    await new Promise((done, fail) => {
      runner.once('message', done);
      runner.once('error', fail);
      runner.once('exit', (code) => fail(new Error(`the runner of the tests ended with status ${code}`)));
    });
    for (const event of ['message', 'exit']) runner.removeAllListeners(event);
    return runner;
  }

  async end() {
    const runner = this.#runner;
    this.#runner = undefined;
    this.#loaded.clear();
    if (runner === undefined || hasEnded(runner)) return;
    const ended = new Promise((done) => runner.once('exit', done));
    runner.kill('SIGKILL');
    await ended;
  }
}

/** By itself, or by a signal. */
function hasEnded({ exitCode, signalCode }) {
  return exitCode !== null || signalCode !== null;
}
