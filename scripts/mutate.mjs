// Whether the tests notice mistakes: puts single ones into the sources under a path, one at a time, and runs the nearest
// tests on each. Works on a copy of the tree. For developers; no part of CI.
//
//   npm run mutate -- PATH... [--tests PATH]... [--limit N] [--seed S] [--skip N] [--minutes N] [--json]
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { mutantsOf, mutated, shuffled } from './mutants.mjs';

const help = `npm run mutate -- PATH... [options]

  PATH          source files, or folders of them
  --tests PATH  the tests to run (files or folders), instead of those in the folder of the source or next above it
  --limit N     how many mutants to try (25)
  --seed S      which of all: the same seed takes the same ones in the same order (1)
  --skip N      leaves out the first so many of that order: goes on where a run before ended
  --minutes N   begins no mutant after that time (30)
  --json        prints the report as JSON
  -h, --help    this text
`;

const root = resolve(import.meta.dirname, '..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tests: { type: 'string', multiple: true, default: [] },
    limit: { type: 'string', default: '25' },
    seed: { type: 'string', default: '1' },
    skip: { type: 'string', default: '0' },
    minutes: { type: 'string', default: '30' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  process.stdout.write(help);
  process.exit(0);
}
const [limit, seed, skip, minutes] = [values.limit, values.seed, values.skip, values.minutes].map(Number);
if (positionals.length === 0 || [limit, seed, skip, minutes].some((value) => !(value >= 0))) {
  process.stderr.write(help);
  process.exit(2);
}
const say = (text) => process.stderr.write(`${text}\n`);
const endAt = Date.now() + minutes * 60_000;
/** Of a run of the tests beyond what it takes without a mistake: a mutant that takes that long hangs. */
const graceMs = 30_000;

const everything = positionals.flatMap(sourcesUnder).flatMap((path) => {
  return mutantsOf(path, readFileSync(join(root, path), 'utf8')).map((mutant) => ({ path, ...mutant }));
});
const chosen = shuffled(everything, seed).slice(skip, skip + limit);
if (chosen.length === 0)
  fail(`${positionals.join(' ')}: there are no mutants (${everything.length} in all, ${skip} skipped)`);
say(`${chosen.length} of ${everything.length} mutants, seed ${seed}`);

const copy = mkdtempSync(join(tmpdir(), 'tessera-mutate-'));
let current;
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted = true;
    current?.kill(signal);
  });
}
process.on('exit', () => rmSync(copy, { recursive: true, force: true }));

copyTree();
const patience = new Map();
const results = [];
for (const mutant of chosen) {
  if (interrupted || Date.now() > endAt) break;
  const outcome = await tryMutant(mutant);
  if (interrupted) break;
  results.push({ ...mutant, outcome });
  say(`${String(results.length).padStart(4)} ${outcome.padEnd(16)} ${described(mutant)}`);
}
report();
process.exitCode = interrupted ? 130 : 0;

/** The sources under a path of the tree: no tests, nothing that only tests use. */
function sourcesUnder(given) {
  const path = relative(root, resolve(root, given));
  if (path.startsWith('..') || !existsSync(join(root, path))) fail(`${given}: no such file or folder in this tree`);
  if (statSync(join(root, path)).isFile()) return [path];
  return readdirSync(join(root, path), { recursive: true })
    .map((name) => join(path, name))
    .filter((name) => /\.ts$/.test(name) && !/\.test\.ts$|\.d\.ts$|test-support\.ts$/.test(name))
    .filter((name) => !/(^|\/)(testing|dist|generated|node_modules|fixtures)\//.test(name))
    .toSorted();
}

/** The tests that are to notice: that of the file itself first, then the others nearby. */
function testsOf(path) {
  if (values.tests.length > 0) return [values.tests];
  const own = path.replace(/\.ts$/, '.test.ts');
  for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) {
    const nearby = readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => join(folder, name));
    if (nearby.length > 0) {
      const others = nearby.filter((name) => name !== own);
      return [nearby.filter((name) => name === own), others].filter((files) => files.length > 0);
    }
    if (basename(folder) === 'src') break;
  }
  return fail(`${path}: there are no tests near it; name some with --tests`);
}

/** The tree as it is, built; what is installed is shared, but that the tree's own packages are the copy's. */
function copyTree() {
  const leaveOut = /(^|\/)(node_modules|\.git)$/;
  cpSync(root, copy, {
    recursive: true,
    preserveTimestamps: true,
    verbatimSymlinks: true,
    filter: (from) => !leaveOut.test(from),
  });
  const installed = join(root, 'node_modules');
  const here = join(copy, 'node_modules');
  mkdirSync(here);
  for (const name of readdirSync(installed)) {
    if (name === '@tessera')
      cpSync(join(installed, name), join(here, name), { recursive: true, verbatimSymlinks: true });
    else symlinkSync(join(installed, name), join(here, name));
  }
}

async function tryMutant(mutant) {
  const groups = testsOf(mutant.path);
  for (const files of groups) await measure(files, mutant.path);
  const file = join(copy, mutant.path);
  const source = readFileSync(file, 'utf8');
  writeFileSync(file, mutated(source, mutant));
  try {
    if ((await build(mutant.path)) !== 0) return 'does not compile';
    for (const files of groups) {
      const outcome = await runTests(files, patience.get(files.join()));
      if (outcome !== 'passed') return outcome === 'failed' ? 'caught' : 'timed out';
    }
    return 'survived';
  } finally {
    writeFileSync(file, source);
  }
}

/** The tests must pass without a mistake; how long that takes says what is too long with one. */
async function measure(files, path) {
  const name = files.join();
  if (patience.has(name)) return;
  if ((await build(path)) !== 0) fail('the tree does not build');
  const startedAt = Date.now();
  const outcome = await runTests(files, 3_600_000);
  if (interrupted) return;
  if (outcome !== 'passed') fail(`the tests fail without any mistake: node scripts/test.mjs ${files.join(' ')}`);
  patience.set(name, 3 * (Date.now() - startedAt) + graceMs);
}

/** Builds what a file belongs to, and what that needs. What else there is does not change with a mistake inside. */
function build(path) {
  let folder = dirname(path);
  while (folder !== '.' && !existsSync(join(copy, folder, 'tsconfig.json'))) folder = dirname(folder);
  return run([join(root, 'node_modules/typescript/bin/tsc'), '-b', folder]).ended;
}

async function runTests(files, patienceMs) {
  const tests = run([join(copy, 'scripts/test.mjs'), '--bail', '1', ...files]);
  let late = false;
  // The first asks, the second does not wait any longer.
  const timers = [patienceMs, patienceMs + 5000].map((ms) =>
    setTimeout(() => {
      late = true;
      tests.child.kill('SIGTERM');
    }, ms),
  );
  const status = await tests.ended;
  for (const timer of timers) clearTimeout(timer);
  return late ? 'late' : status === 0 ? 'passed' : 'failed';
}

function run(args) {
  const child = spawn(process.execPath, args, { cwd: copy, stdio: 'ignore' });
  current = child;
  const ended = new Promise((done) => {
    child.once('exit', (code) => done(code ?? 1));
    child.once('error', () => done(1));
  });
  return { child, ended };
}

function described({ path, line, column, from, to }) {
  const short = (text) => (text.length > 60 ? `${text.slice(0, 57)}...` : text).replaceAll(/\s+/g, ' ');
  return `${path}:${line}:${column}  ${short(from)}  ->  ${to === ';' ? '(dropped)' : short(to)}`;
}

/** Hangs count as caught: somebody would notice. What does not compile says nothing of the tests. */
function report() {
  const count = (outcome) => results.filter((result) => result.outcome === outcome).length;
  const [caught, late, survived] = ['caught', 'timed out', 'survived'].map(count);
  const valid = caught + late + survived;
  const score = valid === 0 ? null : (caught + late) / valid;
  const done = skip + results.length;
  if (values.json) {
    const survivors = results.filter(({ outcome }) => outcome === 'survived');
    const summary = { paths: positionals, all: everything.length, seed, tried: results.length, next: done };
    const counts = { caught, timedOut: late, survived, doesNotCompile: count('does not compile'), score };
    console.log(JSON.stringify({ ...summary, ...counts, survivors }, null, 2));
    return;
  }
  console.log(
    `${caught} caught, ${late} timed out, ${survived} survived, ${count('does not compile')} do not compile` +
      `${score === null ? '' : `: ${Math.round(score * 100)} % noticed`} (${results.length} of ${everything.length} tried, seed ${seed})`,
  );
  for (const result of results) if (result.outcome === 'survived') console.log(`  survived  ${described(result)}`);
  if (done < everything.length) console.log(`go on with --seed ${seed} --skip ${done}`);
}

function fail(message) {
  say(message);
  process.exit(1);
}
