import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { goldenCase, visibleAnswer } from '@tessera/testing/demo-model/goldens';
import { runCommand } from '@tessera/testing/processes/run-command';
import { root } from '@tessera/testing/repository';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Deployment, deploy } from '../support/deployment.js';

const apple = 'models/demo/samples/apple.png';
const { question } = goldenCase('apple.0');
const answer = visibleAnswer(goldenCase('apple.0'));

const [hasGrpcurl, hasPython, hasPythonGrpc] = await Promise.all(
  [
    ['grpcurl', '-version'],
    ['python3', '--version'],
    ['python3', '-c', 'import grpc, grpc_reflection'],
  ].map(async ([command = '', ...args]) => (await runCommand(command, args)).status === 0),
);

let deployment: Deployment;
let folder: string;
let env: NodeJS.ProcessEnv;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-examples-'));
  deployment = await deploy();
  env = { TESSERA_ADDRESS: deployment.gateway };
});
afterAll(async () => {
  await deployment?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A folder whose `grpcurl` is the one of test/support. */
function standIn(): string {
  const file = join(folder, 'grpcurl');
  writeFileSync(file, `#!/bin/sh\nexec '${process.execPath}' '${join(root, 'test/support/grpcurl.mjs')}' "$@"\n`);
  chmodSync(file, 0o755);
  return folder;
}

test(`the script for grpcurl asks about a picture, with ${hasGrpcurl ? 'grpcurl' : 'a client of reflection in its place: grpcurl is not on PATH'}`, async () => {
  const PATH = hasGrpcurl ? process.env.PATH : `${standIn()}${delimiter}${process.env.PATH}`;
  const end = await runCommand('sh', ['examples/grpcurl/ask.sh', apple, question], { env: { ...env, PATH } });
  expect(end).toMatchObject({ status: 0, stderr: '' });
  // One JSON document after the other.
  const events = JSON.parse(`[${end.stdout.trim().replaceAll(/\}\s*\n\{/g, '},{')}]`) as {
    event: { textDelta?: { text?: string }; finished?: object };
  }[];
  expect(events.map(({ event }) => event.textDelta?.text ?? '').join('')).toBe(answer);
  expect(events.at(-1)?.event.finished).toBeDefined();
});

test.skipIf(!hasPythonGrpc)(
  `the Python script asks about a picture${hasPythonGrpc ? '' : ' (not run: python3 here has no grpcio with grpcio-reflection)'}`,
  async () => {
    const end = await runCommand('python3', ['examples/python/ask.py', apple, question], { env });
    expect(end).toEqual({ status: 0, stdout: `${answer}\n`, stderr: '' });
  },
);

test.skipIf(!hasPython)(
  `the Python script is Python${hasPython ? '' : ' (not looked at: there is no python3)'}`,
  async () => {
    const check = 'import py_compile, sys; py_compile.compile(sys.argv[1], cfile=sys.argv[2], doraise=True)';
    const end = await runCommand('python3', ['-c', check, 'examples/python/ask.py', join(folder, 'ask.pyc')]);
    expect(end).toMatchObject({ status: 0, stderr: '' });
  },
);
