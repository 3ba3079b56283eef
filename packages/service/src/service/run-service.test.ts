import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { LlmServiceDefinition } from '@tessera/protocol';
import { type CommandEnd, captureOutput } from '@tessera/testing/processes/capture-output';
import { afterEach, expect, test } from 'vitest';
import { createClient } from '../grpc/create-client.js';
import { ask } from '../testing/start-probe.js';

// A real process, from the built files: signals and exit codes cannot be tried inside this one.
const script = new URL('../../dist/testing/run-probe.js', import.meta.url).pathname;
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function start(...argv: string[]): { child: ChildProcess; outcome: Promise<CommandEnd> } {
  const child = fork(script, argv, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { PATH: process.env.PATH } });
  children.push(child);
  return { child, outcome: captureOutput(child).ended };
}

async function startReady(...argv: string[]) {
  const { child, outcome } = start('--model-dir', 'none', ...argv);
  const [ready] = (await once(child, 'message')) as [{ grpc: string; metrics: string; pid: number }];
  return { child, outcome, ready };
}

function lines(stdout: string): Array<Record<string, unknown>> {
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test('the ready line says where everything listens; SIGTERM drains open streams and exits 0', async () => {
  const { child, outcome, ready } = await startReady();
  expect(ready).toMatchObject({ event: 'ready', ready: true, service: 'llm', pid: child.pid });
  expect(await (await fetch(`http://${ready.metrics}/metrics`)).text()).toContain('tessera_process_cpu_seconds_total');
  const client = createClient(LlmServiceDefinition, ready.grpc);
  const events: string[] = [];
  for await (const { event } of client.generate(ask('drain'))) {
    events.push(event?.$case ?? '');
    if (event?.$case === 'tokens') child.kill('SIGTERM');
  }
  expect(events).toEqual(['tokens', 'drain']);
  const { status, stdout } = await outcome;
  expect(status).toBe(0);
  expect(lines(stdout).flatMap((line) => line.event ?? [])).toEqual(['ready', 'draining', 'stopped']);
  expect(lines(stdout)[0]).toMatchObject({ level: 'info', service: 'llm', grpc: ready.grpc });
  client.close();
});

test('a drain over its grace exits 1 and logs what was still running', async () => {
  const { child, outcome, ready } = await startReady('--drain-grace-ms', '200');
  const client = createClient(LlmServiceDefinition, ready.grpc);
  const stream = client.generate(ask('wait'))[Symbol.asyncIterator]();
  await stream.next();
  child.kill('SIGTERM');
  const { status, stdout } = await outcome;
  expect(status).toBe(1);
  expect(lines(stdout).at(-1)).toMatchObject({ level: 'fatal', err: { code: 'DEADLINE_EXCEEDED' } });
  expect(JSON.stringify(lines(stdout).at(-1))).toContain('LlmService/Generate (1)');
  client.close();
});

test('a second signal exits 1 at once', async () => {
  const { child, outcome, ready } = await startReady();
  const client = createClient(LlmServiceDefinition, ready.grpc);
  const stream = client.generate(ask('wait'))[Symbol.asyncIterator]();
  await stream.next();
  child.kill('SIGINT');
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  child.kill('SIGINT');
  const { status, stdout } = await outcome;
  expect(status).toBe(1);
  expect(lines(stdout).at(-1)).toMatchObject({ event: 'killed' });
  client.close();
});

test('a parent that is gone ends its service', async () => {
  const { child, outcome } = await startReady();
  child.disconnect();
  expect((await outcome).status).toBe(0);
});

test('a wrong setting exits 2 with a sentence and no stack; --help exits 0', async () => {
  const wrong = await start('--grcp-port', '1').outcome;
  expect(wrong).toMatchObject({ status: 2, stdout: '' });
  expect(wrong.stderr).toBe('llm: there is no flag --grcp-port; did you mean --grpc-port?\n');
  const help = await start('--help').outcome;
  expect(help.status).toBe(0);
  expect(help.stdout).toContain('--grpc-port <integer, 0 to 65535>');
});
