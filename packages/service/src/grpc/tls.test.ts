import { readFile, writeFile } from 'node:fs/promises';
import { connect, type PeerCertificate } from 'node:tls';
import { LlmServiceDefinition, TesseraError } from '@tessera/protocol';
import { TestAuthority } from '@tessera/testing/tls/certificates';
import { expect, test } from 'vitest';
import { startService } from '../service/start-service.js';
import type { CommonSettings } from '../settings/common-settings.js';
import type { Settings } from '../settings/setting.js';
import { memoryLog } from '../testing/memory-log.js';
import { probeService } from '../testing/probe-service.js';
import type { TlsFiles } from './certificate-files.js';
import { createClient } from './create-client.js';
import { clientCredentials } from './tls-credentials.js';

const patient = { timeout: 60_000 };
const rarely = { refreshMs: 60_000, onTrouble: () => {} };

async function serve(settings: Partial<Settings<CommonSettings>>) {
  const { log, lines } = memoryLog();
  const service = await startService(probeService(), { 'model.dir': 'none', ...settings }, { log });
  return { service, lines, [Symbol.asyncDispose]: () => service.stop() };
}

/** Asks a server, as a client with these files. */
async function askAs(address: string, files: TlsFiles, serverName?: string): Promise<unknown> {
  const credentials = clientCredentials(files, rarely);
  const client = createClient(LlmServiceDefinition, address, { credentials, serverName });
  try {
    return await client.describe({}, { timeoutMs: 20_000 });
  } finally {
    client.close();
  }
}

test('over TLS a client that trusts the CA is answered, and no other', async () => {
  await using ca = await TestAuthority.create();
  await using other = await TestAuthority.create();
  const { certFile, keyFile } = await ca.issue('server');
  await using server = await serve({ 'grpc.certFile': certFile, 'grpc.keyFile': keyFile });
  const address = server.service.grpcAddress;
  expect(await askAs(address, { caFile: ca.caFile })).toMatchObject({ contextTokens: 512 });
  await expect(askAs(address, { caFile: other.caFile })).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  await expect(askAs(address, {})).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
});

test("the certificate's name counts; a name that is not the address's can be told", async () => {
  await using ca = await TestAuthority.create();
  const { certFile, keyFile } = await ca.issue('engine', ['tessera-llm'], []);
  await using server = await serve({ 'grpc.certFile': certFile, 'grpc.keyFile': keyFile });
  const address = server.service.grpcAddress;
  await expect(askAs(address, { caFile: ca.caFile })).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  expect(await askAs(address, { caFile: ca.caFile }, 'tessera-llm')).toMatchObject({ contextTokens: 512 });
});

test('with a CA for clients, only those with a certificate of it are answered', async () => {
  await using ca = await TestAuthority.create();
  await using other = await TestAuthority.create();
  const { certFile, keyFile } = await ca.issue('server');
  const settings = { 'grpc.certFile': certFile, 'grpc.keyFile': keyFile, 'grpc.clientCaFile': ca.caFile };
  await using server = await serve(settings);
  const address = server.service.grpcAddress;
  const caFile = ca.caFile;
  expect(await askAs(address, { caFile, ...(await ca.issue('gateway')) })).toMatchObject({ contextTokens: 512 });
  await expect(askAs(address, { caFile })).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  const foreign = { caFile, ...(await other.issue('gateway')) };
  await expect(askAs(address, foreign)).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
});

test('a renewed certificate serves new connections; one that cannot be used leaves the old', async () => {
  await using ca = await TestAuthority.create();
  const files = await ca.issue('server', ['first']);
  await using server = await serve({
    'grpc.certFile': files.certFile,
    'grpc.keyFile': files.keyFile,
    'grpc.certRefreshMs': 50,
  });
  const names = () => namesOf(server.service.grpcAddress, ca.caFile);
  expect(await names()).toContain('first');
  await ca.issue('server', ['second']);
  await expect.poll(names, patient).toContain('second');
  const good = await readFile(files.keyFile);
  await writeFile(files.keyFile, 'no key');
  await expect
    .poll(() => server.lines.map(({ msg }) => msg), patient)
    .toContain('renewed certificates cannot be used; the old ones stay');
  expect(await names()).toContain('second');
  expect(JSON.stringify(server.lines)).not.toContain('PRIVATE KEY');
  await writeFile(files.keyFile, good);
});

test('files that cannot be used are told at the start', async () => {
  await using ca = await TestAuthority.create();
  const { certFile, keyFile } = await ca.issue('server');
  const another = await ca.issue('another');
  const refused: Array<[settings: Partial<Settings<CommonSettings>>, says: RegExp]> = [
    [{ 'grpc.certFile': certFile }, /come together/],
    [{ 'grpc.certFile': certFile, 'grpc.keyFile': `${keyFile}.none` }, /key\.none cannot be read/],
    [{ 'grpc.certFile': certFile, 'grpc.keyFile': another.keyFile }, /TLS cannot use/],
    [{ 'grpc.clientCaFile': ca.caFile }, /grpc\.certFile/],
  ];
  for (const [settings, message] of refused) {
    await expect(serve(settings)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(message),
    });
  }
  expect(() => clientCredentials({ certFile, keyFile }, rarely)).toThrow(TesseraError);
});

/** The names in the certificate that a server shows to a new connection. */
async function namesOf(address: string, caFile: string): Promise<string> {
  const [host, port] = address.split(':');
  const ca = await readFile(caFile);
  return await new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), ca, ALPNProtocols: ['h2'] }, () => {
      const certificate: PeerCertificate = socket.getPeerCertificate();
      socket.destroy();
      resolve(certificate.subjectaltname ?? '');
    });
    socket.once('error', reject);
  });
}
