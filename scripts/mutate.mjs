// Whether the tests notice mistakes: puts single ones into the sources under a path, one at a time, and runs the nearest
// tests on each. Works on a copy of the tree. For developers; no part of CI.
//
//   npm run mutate -- PATH... [--tests PATH]... [--limit N] [--seed S] [--skip N] [--minutes N] [--again FILE] [--json]
//
// All mutants of a run are built at once, each behind a switch (mutation/behind-switch.mjs). Each test file runs once without
// any, which tells how long it takes and which mutants it comes by; a mutant is then tried with the files that come by it.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { mutantsOf, shuffled } from './mutation/mutants.mjs';
import { TestBench } from './mutation/test-bench.mjs';
import { TreeCopy } from './mutation/tree-copy.mjs';

const help = `npm run mutate -- PATH... [options]

  PATH          source files, or folders of them
  --tests PATH  the tests to run (files or folders), instead of all in the package of the source
  --limit N     how many mutants to try (25)
  --seed S      which of all: the same seed takes the same ones in the same order (1)
  --skip N      leaves out the first so many of that order: goes on where a run before ended
  --minutes N   begins no mutant after that time (30)
  --again FILE  only what survived in a report that --json wrote: after tests were written
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
    again: { type: 'string' },
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
/** What a test file may take at most, without a mistake. */
const hourMs = 3_600_000;
/** Of a test file beyond three times what it takes without a mistake: a mutant that takes that long hangs. */
const graceMs = 10_000;

const everything = positionals.flatMap(sourcesUnder).flatMap((path) => {
  const source = readFileSync(join(root, path), 'utf8');
  const lines = source.split('\n');
  return mutantsOf(path, source).map((mutant) => ({ path, ...mutant, text: lines[mutant.line - 1].trim() }));
});
const chosen =
  values.again === undefined ? shuffled(everything, seed).slice(skip, skip + limit) : survivorsOf(values.again);
if (chosen.length === 0)
  fail(`${positionals.join(' ')}: there are no mutants (${everything.length} in all, ${skip} skipped)`);
say(`${chosen.length} of ${everything.length} mutants, seed ${seed}`);

const scratch = mkdtempSync(join(tmpdir(), 'tessera-mutate-'));
const temporary = join(scratch, 'tmp');
mkdirSync(temporary);
const copy = new TreeCopy(root, join(scratch, 'tree'));
const bench = new TestBench(copy.folder, temporary);
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted = true;
    void bench.end();
  });
}
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

const results = [];
/** Test files that fail without any mistake, as on a machine that is too busy. */
const leftOut = [];
try {
  copy.make();
  const mutants = await lookedAt(chosen.map((mutant, id) => ({ ...mutant, id })));
  const valid = mutants.filter(({ compiles }) => compiles);
  await copy.putBehindSwitches(valid);
  const tests = await testFiles(valid);
  for (const mutant of mutants) {
    if (interrupted || Date.now() > endAt) break;
    const outcome = mutant.compiles ? await tryMutant(mutant, tests) : 'does not compile';
    if (interrupted) break;
    results.push({ ...mutant, outcome });
    say(`${String(results.length).padStart(4)} ${outcome.padEnd(16)} ${described(mutant)}`);
  }
} catch (error) {
  if (!interrupted) fail(error.message);
} finally {
  await bench.end();
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

/** What survived before, as it stands in the sources now. */
function survivorsOf(reportPath) {
  const keyOf = ({ path, text, column, from, to }) => [path, text, column, from, to].join('\n');
  const before = new Set(JSON.parse(readFileSync(reportPath, 'utf8')).survivors.map(keyOf));
  return everything.filter((mutant) => before.has(keyOf(mutant)));
}

/** The mutants, and of each whether it compiles. */
async function lookedAt(mutants) {
  const right = new Set();
  let looked = 0;
  for (const project of new Set(mutants.map(({ path }) => copy.projectOf(path)))) {
    await copy.build(project);
    const own = mutants.filter(({ path }) => copy.projectOf(path) === project);
    const onLooked = (count) => {
      looked += count;
      say(`whether they compile: ${looked} of ${mutants.length}`);
    };
    for (const { id } of await copy.compiling(own, onLooked)) right.add(id);
  }
  return mutants.map((mutant) => ({ ...mutant, compiles: right.has(mutant.id) }));
}

/** Every test file in question, as it is without a mistake: whether it passes, how long it takes, what it comes by. */
async function testFiles(mutants) {
  const folders = values.tests.length > 0 ? values.tests : new Set(mutants.map(({ path }) => copy.projectOf(path)));
  const files = [...new Set([...folders].flatMap(testsUnder))];
  if (files.length === 0) fail(`${[...folders].join(' ')}: there are no tests; name some with --tests`);
  const tests = [];
  for (const file of files) {
    if (interrupted) break;
    const trail = join(temporary, 'trail');
    let [outcome, ms] = ['failed', 0];
    // A second time where it fails: one that wants more of a busy machine would end a run that has taken long already.
    for (let tries = 0; tries < 2 && outcome !== 'passed' && !interrupted; tries++) {
      rmSync(trail, { force: true });
      ({ outcome, ms } = await bench.run(file, { trail }, hourMs));
    }
    if (interrupted) break;
    if (outcome !== 'passed') {
      say(`left out, since it fails without any mistake: node scripts/test.mjs ${file}`);
      leftOut.push(file);
      continue;
    }
    const ids = existsSync(trail) ? readFileSync(trail, 'utf8').split('\n').filter(Boolean).map(Number) : [];
    tests.push({ file, ms, comesBy: new Set(ids), caughtIn: new Map() });
    say(`${String(tests.length).padStart(4)} of ${files.length}  ${(ms / 1000).toFixed(1)} s  ${file}`);
  }
  if (tests.length === 0 && !interrupted) throw new Error('the tests fail without any mistake');
  return tests;
}

/** As the copy has them: what is written meanwhile is not in it. */
function testsUnder(given) {
  const path = relative(root, resolve(root, given));
  if (!existsSync(join(copy.folder, path))) fail(`${given}: no such file or folder in this tree`);
  if (statSync(join(copy.folder, path)).isFile()) return [path];
  return readdirSync(join(copy.folder, path), { recursive: true })
    .filter((name) => name.endsWith('.test.ts') && !/(^|\/)(dist|node_modules)\//.test(name))
    .map((name) => join(path, name))
    .toSorted();
}

/** The likeliest first: the file's own test, then those that caught most in that source, then the shortest. */
async function tryMutant({ id, path }, tests) {
  const own = path.replace(/\.ts$/, '.test.ts');
  const rank = ({ file, ms, caughtIn }) => (file === own ? 0 : ms / (1 + 10 * (caughtIn.get(path) ?? 0)));
  const reaching = tests
    .filter(({ comesBy }) => comesBy.has(id))
    .toSorted((one, other) => rank(one) - rank(other) || one.ms - other.ms);
  if (reaching.length === 0) return 'not reached';
  for (const test of reaching) {
    const outcome = await tryTwice(test, id);
    if (outcome === 'passed') continue;
    test.caughtIn.set(path, (test.caughtIn.get(path) ?? 0) + 1);
    return outcome === 'failed' ? 'caught' : 'timed out';
  }
  return 'survived';
}

/**
 * A failure counts when it comes twice, and a hang when the file takes no longer by itself than it did: on a busy machine
 * tests with deadlines fail, and take long, without any mistake.
 */
async function tryTwice(test, mutant) {
  const once = async () => (await bench.run(test.file, { mutant }, 3 * test.ms + graceMs)).outcome;
  let outcome = await once();
  if (outcome === 'late' && !interrupted) {
    const { ms } = await bench.run(test.file, {}, hourMs);
    const isSlower = ms > 1.5 * test.ms;
    test.ms = Math.max(test.ms, ms);
    if (!isSlower) return outcome;
    outcome = await once();
  }
  return outcome === 'failed' ? await once() : outcome;
}

function described({ path, line, column, from, to }) {
  const short = (text) => (text.length > 60 ? `${text.slice(0, 57)}...` : text).replaceAll(/\s+/g, ' ');
  return `${path}:${line}:${column}  ${short(from)}  ->  ${to === ';' ? '(dropped)' : short(to)}`;
}

/**
 * Hangs count as caught: somebody would notice. What does not compile says nothing of the tests. What no test comes by
 * counts as survived.
 */
function report() {
  const survivors = results.filter(({ outcome }) => outcome === 'survived' || outcome === 'not reached');
  const count = (outcome) => results.filter((result) => result.outcome === outcome).length;
  const [caught, late] = ['caught', 'timed out'].map(count);
  const valid = caught + late + survivors.length;
  const score = valid === 0 ? null : (caught + late) / valid;
  const done = skip + results.length;
  if (values.json) {
    const summary = { paths: positionals, all: everything.length, seed, tried: results.length, next: done };
    const counts = {
      caught,
      timedOut: late,
      survived: survivors.length,
      notReached: count('not reached'),
      doesNotCompile: count('does not compile'),
      score,
    };
    console.log(JSON.stringify({ ...summary, ...counts, leftOut, survivors }, null, 2));
    return;
  }
  console.log(
    `${caught} caught, ${late} timed out, ${survivors.length} survived (${count('not reached')} that no test comes by), ` +
      `${count('does not compile')} do not compile` +
      `${score === null ? '' : `: ${Math.round(score * 100)} % noticed`} (${results.length} of ${everything.length} tried, seed ${seed})`,
  );
  for (const result of survivors) console.log(`  ${result.outcome.padEnd(11)}  ${described(result)}`);
  if (values.again === undefined && done < everything.length) console.log(`go on with --seed ${seed} --skip ${done}`);
}

function fail(message) {
  say(message);
  process.exit(1);
}
