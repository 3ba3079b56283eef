// The tests on a real Kubernetes, which deploy/cluster builds and starts for them (docs/cluster-tests.md): control plane, real
// nodes and their images; then vitest in the cluster's namespaces, where names and addresses of Services are reached; then
// everything ends, whether the tests did or were interrupted. Arguments go on to vitest.
//   TESSERA_CLUSTER_RUN=DIR  a folder of its own for the cluster's state; one that is up there is used, and left up
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const cluster = join(root, 'deploy/cluster');
/** Two for what anyone may use, two that have GPUs as far as the scheduler knows. */
const nodes = [
  ['real-0', '0', 'topology.kubernetes.io/zone=a'],
  ['real-1', '1', 'topology.kubernetes.io/zone=b'],
  ['real-gpu-0', '2', 'topology.kubernetes.io/zone=a', 'nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3'],
  ['real-gpu-1', '3', 'topology.kubernetes.io/zone=b', 'nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3'],
];

const run = process.env.TESSERA_CLUSTER_RUN ?? mkdtempSync(join(tmpdir(), 'tessera-cluster-'));
const env = { ...process.env, TESSERA_CLUSTER_RUN: run };
const isOurs = !existsSync(join(run, 'control.pid'));

let running;
let interrupted;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted ??= signal;
    // The whole group: a shell passes on to those below it nothing that it is sent.
    if (running?.pid !== undefined) process.kill(-running.pid, 'SIGTERM');
  });
}

/** Runs a command to its end. @throws when its status is not 0, or this process was told to end */
async function execute(command, ...args) {
  if (interrupted !== undefined) throw new Error(`ended by ${interrupted}`);
  // Groups of their own: Ctrl-C comes here, and is passed on once.
  running = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'], detached: true });
  const status = await new Promise((done, fail) => {
    running.once('error', fail).once('exit', (code, signal) => done(code ?? signal));
  });
  running = undefined;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: status ${status}`);
}

const script = (name, ...args) => execute(join(cluster, name), ...args);
const begun = Date.now();
const tell = (what) => console.log(`[${String(Math.round((Date.now() - begun) / 1000)).padStart(4)} s] ${what}`);

let status = 0;
try {
  if (isOurs) {
    await script('build.sh');
    tell('programs are built');
    await script('images.sh');
    tell('images are built');
    await script('up.sh');
    tell('control plane is up');
    for (const [name, index, ...labels] of nodes) await script('node.sh', name, index, ...labels);
    const images = readdirSync(join(run, 'images')).map((file) => join(run, 'images', file));
    for (const [name] of nodes) await script('load.sh', name, ...images);
    tell('nodes are up, with images');
  }
  const vitest = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--config', 'test/cluster/vitest.config.ts'];
  await script('enter.sh', process.execPath, ...vitest, ...process.argv.slice(2));
} catch (reason) {
  console.error(reason.message);
  status = 1;
} finally {
  interrupted = undefined;
  if (isOurs) {
    await script('down.sh');
    tell('everything is down');
  }
}
process.exit(status);
