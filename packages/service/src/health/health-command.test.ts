import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CommandEnd, captureOutput } from '@tessera/testing/processes/capture-output';
import { afterEach, expect, test } from 'vitest';
import { startHttpServer } from '../service/http-server.js';
import { Readiness } from '../service/readiness.js';
import { Metrics } from '../telemetry/metrics.js';

const script = new URL('../../dist/testing/run-probe.js', import.meta.url).pathname;
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function start(
  argv: readonly string[],
  env: NodeJS.ProcessEnv = {},
): { child: ChildProcess; ended: Promise<CommandEnd> } {
  const child = fork(script, argv, {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { PATH: process.env.PATH, ...env },
  });
  children.push(child);
  return { child, ended: captureOutput(child).ended };
}

/** As a probe of the same container asks: with its environment. */
const health = (metricsPort: number, argv: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<CommandEnd> =>
  start(['health', ...argv], { TESSERA_METRICS_PORT: String(metricsPort), ...env }).ended;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test('a service that takes work is healthy; one that has ended is not, and the address is named', async () => {
  const port = await freePort();
  const { child, ended } = start(['--model-dir', 'none'], {
    TESSERA_METRICS_PORT: String(port),
    TESSERA_METRICS_HOST: '0.0.0.0',
  });
  await once(child, 'message');
  expect(await health(port, [], { TESSERA_METRICS_HOST: '0.0.0.0' })).toEqual({
    status: 0,
    stdout: 'ready\n',
    stderr: '',
  });
  expect(await health(port, ['--live'])).toMatchObject({ status: 0, stdout: 'ok\n' });
  child.kill('SIGTERM');
  await ended;
  const gone = await health(port);
  expect(gone).toMatchObject({ status: 1, stdout: '' });
  expect(gone.stderr).toContain(`http://127.0.0.1:${port}/readyz`);
});

test('one that waits for something lives, and is not ready: the reason is what it waits for', async () => {
  const readiness = new Readiness();
  readiness.require({ what: 'NATS at nats://127.0.0.1:4222', holds: () => false });
  readiness.phase = 'serving';
  const { registry } = new Metrics();
  const server = await startHttpServer({ host: '127.0.0.1', port: 0, registry, askReady: () => readiness.ask() });
  const port = Number(server.address.split(':').at(-1));
  try {
    expect(await health(port)).toEqual({
      status: 1,
      stdout: '',
      stderr: 'llm: not ready: waiting for NATS at nats://127.0.0.1:4222\n',
    });
    expect(await health(port, ['--live'])).toMatchObject({ status: 0 });
  } finally {
    await server.close();
  }
});

test('the settings in force are those of the file too, whatever else stands in it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tessera-health-'));
  const file = join(folder, 'config.yaml');
  const port = await freePort();
  try {
    await writeFile(
      file,
      `model: {dir: none}\nnats.url: nats://nowhere:1\nmetrics: {host: "127.0.0.1", port: ${port}}\n`,
    );
    const asked = await start(['health'], { TESSERA_CONFIG: file }).ended;
    expect(asked.status).toBe(1);
    expect(asked.stderr).toContain(`http://127.0.0.1:${port}/readyz`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('a port that only the service knows is a sentence, and so is a wrong flag', async () => {
  const unknown = await start(['health']).ended;
  expect(unknown).toMatchObject({ status: 1, stdout: '' });
  expect(unknown.stderr).toContain('metrics.port');
  const wrong = await health(1, ['--alive']);
  expect(wrong).toMatchObject({ status: 1, stdout: '' });
  expect(wrong.stderr).toContain('there is no flag --alive');
});
