// Measures speed and memory on the demo model and prints tables; `npm run bench -- --help` says what there is.
import { spawn } from 'node:child_process';
import { main } from '../bench/dist/main.js';
import { withHugePages } from '../packages/service/dist/index.js';

const env = withHugePages(process.env);
if (env === process.env) {
  process.exitCode = await main(process.argv.slice(2));
} else {
  // What is computed in this process is to have what services have: see there.
  const bench = spawn(process.execPath, process.argv.slice(1), { stdio: 'inherit', env });
  // A terminal's Ctrl-C goes to both, and the child ends in its own way.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => bench.kill('SIGTERM'));
  bench.once('exit', (code, signal) => {
    process.exitCode = code ?? (signal === null ? 1 : 128);
  });
}
