import { join } from 'node:path';
import { type ServiceName, serviceNames } from '@tessera/cli';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { type KeyPairFiles, TestAuthority } from '@tessera/testing/tls/certificates';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Deployment, deploy } from '../support/deployment.js';
import { tessera } from '../support/tessera.js';

/** Every service speaks TLS and asks its callers for a certificate: what the command line is then to be told. */
let files: TestAuthority;
let deployment: Deployment;
let own: KeyPairFiles;

beforeAll(async () => {
  files = await TestAuthority.create();
  const served = await files.issue('service');
  own = await files.issue('operator');
  const grpc = ['--grpc-cert-file', served.certFile, '--grpc-key-file', served.keyFile];
  grpc.push('--grpc-client-ca-file', files.caFile);
  const flags = Object.fromEntries(serviceNames.map((name) => [name, [...grpc]])) as Record<ServiceName, string[]>;
  flags.gateway.push('--engines-ca-file', files.caFile, '--engines-server-name', 'localhost');
  flags.gateway.push('--engines-cert-file', own.certFile, '--engines-key-file', own.keyFile);
  deployment = await deploy({ flags });
});
afterAll(async () => {
  await deployment?.stop();
  await files?.[Symbol.asyncDispose]();
});

const identity = (): string[] => ['--tls-cert', own.certFile, '--tls-key', own.keyFile];
const asking = (...flags: string[]): string[] => ['ask', 'Hello!', '--address', deployment.gateway, ...flags];

test('with the authority and a certificate of its own it asks and shows pictures', async () => {
  const picture = ['--image', join(demoModelDir, 'samples/apple.png')];
  const { status, stdout, stderr } = await tessera([
    ...['ask', 'What is this?', '--address', deployment.gateway, ...picture],
    ...['--tls-ca', files.caFile, ...identity()],
  ]);
  expect(status, stderr).toBe(0);
  expect(stdout).toBe('This is a red apple.\n');
});

test('the environment says as much', async () => {
  const { status, stderr } = await tessera(asking(), {
    TESSERA_TLS_CA: files.caFile,
    TESSERA_TLS_CERT: own.certFile,
    TESSERA_TLS_KEY: own.keyFile,
    TESSERA_TLS_SERVER_NAME: 'localhost',
  });
  expect(status, stderr).toBe(0);
});

test.each([
  ['no word of TLS', () => [], '--tls-ca'],
  ['no certificate of its own', () => ['--tls-ca', files.caFile], 'no server can be reached'],
  ['an authority that it does not trust', () => ['--tls', ...identity()], 'certificate'],
  [
    'the name of another',
    () => ['--tls-ca', files.caFile, ...identity(), '--tls-server-name', 'other.example'],
    'other.example',
  ],
])('with %s it ends with status 3 and says so', async (_, flags, said) => {
  const { status, stderr } = await tessera(asking(...flags()));
  expect(status).toBe(3);
  expect(stderr).toContain(said);
});

test.each([
  ['a certificate without its key', () => ['--tls-cert', own.certFile], '--tls-key'],
  ['a file that is not there', () => ['--tls-ca', '/no/such.pem'], '--tls-ca /no/such.pem'],
  ['no certificate in the file', () => ['--tls-ca', own.keyFile], /--tls-ca \S+ has no block BEGIN CERTIFICATE/],
  [
    'no certificate of its own in the file',
    () => ['--tls-cert', own.keyFile, '--tls-key', own.keyFile],
    /--tls-cert \S+ has no block BEGIN CERTIFICATE/,
  ],
  [
    'no key in the file',
    () => ['--tls-cert', own.certFile, '--tls-key', own.certFile],
    /--tls-key \S+ has no block BEGIN PRIVATE KEY/,
  ],
])('with %s it calls nobody', async (_, flags, said) => {
  const { status, stderr } = await tessera(asking(...flags()));
  expect(status).toBe(2);
  expect(stderr).toMatch(said);
});

test('the stages are measured over it too', async () => {
  const stages = serviceNames.flatMap((name) => {
    const { grpc, metrics } = deployment.stack.address(name) ?? {};
    return ['--stage', `${name}=${grpc},${metrics}`];
  });
  const { status, stdout, stderr } = await tessera([
    ...['profile', '--bundle', deployment.bundleDir, '--effort', '0.01', '--no-starts', ...stages],
    ...['--tls-ca', files.caFile, ...identity()],
  ]);
  expect(status, stderr).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ encoder: {}, connector: {}, llm: {}, generator: {} });
}, 120_000);
