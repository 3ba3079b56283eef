// Runs every test, then prints the closing line `N passed, N failed` that CI reads. Arguments go on to vitest.
// A run has a folder of its own for temporary files and leaves nothing: neither a process nor a file, whether it ends by
// itself or is interrupted; what is left all the same is ended, and counts as a failure.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { endProcessesOf, folderPrefix, removeAbandonedFolders } from './leftovers.mjs';

/** What a service may take to drain once its parent is gone, and more. */
const patienceMs = 45_000;

const root = resolve(import.meta.dirname, '..');
removeAbandonedFolders(tmpdir());
const folder = mkdtempSync(join(tmpdir(), `${folderPrefix}${process.pid}-`));
const temporary = join(folder, 'tmp');
mkdirSync(temporary);
const report = join(folder, 'report.json');

const vitest = spawn(
  process.execPath,
  [
    '--import',
    pathToFileURL(join(root, 'scripts/exit-with-parent.mjs')).href,
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  {
    cwd: root,
    // A group of its own: Ctrl-C comes here, and is passed on once. The channel tells it when this process was killed.
    detached: true,
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    // npm keeps a cache of compiled code in the folder for temporary files, under Node 22 and newer.
    env: { ...process.env, TMPDIR: temporary, TMP: temporary, TEMP: temporary, NODE_DISABLE_COMPILE_CACHE: '1' },
  },
);

let interrupted;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    // The first lets tests end that are under way; a second one does not wait.
    if (interrupted === undefined) vitest.kill('SIGINT');
    else endGroup(vitest.pid);
    interrupted ??= signal;
  });
}
const status = await new Promise((done) => {
  vitest.once('exit', (code) => done(code ?? 1));
  vitest.once('error', () => done(1));
});

let passed = 0;
let failed = 0;
try {
  const results = JSON.parse(readFileSync(report, 'utf8'));
  passed = results.numPassedTests;
  // A file that fails to load has no failed test of its own, and must count all the same.
  const brokenFiles = results.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  ).length;
  failed = results.numFailedTests + brokenFiles;
} catch {
  failed = 1;
}
const processes = await endProcessesOf(temporary, patienceMs);
for (const { pid, command } of processes) console.error(`left behind: process ${pid}: ${command}`);
const files = interrupted === undefined ? readdirSync(temporary) : [];
for (const name of files) console.error(`left behind: ${join(temporary, name)}`);
rmSync(folder, { recursive: true, force: true });
failed += processes.length + files.length;
if (failed === 0 && (status !== 0 || passed === 0 || interrupted !== undefined)) failed = 1;
console.log(`${passed} passed, ${failed} failed`);
process.exit(interrupted !== undefined ? 130 : failed === 0 ? 0 : 1);

/** Ends vitest and its workers; what they started ends with them. */
function endGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
