import { readFile } from 'node:fs/promises';
import { ServerCredentials } from '@grpc/grpc-js';
import { ChatServiceDefinition } from '@tessera/protocol';
import { TestAuthority } from '@tessera/testing/tls/certificates';
import { createServer } from 'nice-grpc';
import { expect, test } from 'vitest';
import { createGrpcClient } from './create-grpc-client.js';
import { callOpener } from './open-call.js';
import { type TlsIdentity, tlsChannel } from './tls-channel.js';

const { listModels } = ChatServiceDefinition.methods;
const service = { name: 'ChatService', fullName: 'tessera.v1.ChatService', methods: { listModels } } as const;

/** A server that asks for certificates of its own authority, under the name `gateway`. */
async function serve(ca: TestAuthority) {
  const { certFile, keyFile } = await ca.issue('server', ['gateway'], []);
  const [root, certificate, key] = await Promise.all([ca.caFile, certFile, keyFile].map((file) => readFile(file)));
  const pair = { cert_chain: certificate as Buffer, private_key: key as Buffer };
  const server = createServer();
  server.add(service, { listModels: async () => ({ models: [], nextPageToken: 'answered' }) });
  const port = await server.listen('127.0.0.1:0', ServerCredentials.createSsl(root as Buffer, [pair], true));
  return { address: `127.0.0.1:${port}`, [Symbol.dispose]: () => server.forceShutdown() };
}

async function askAs(address: string, identity: TlsIdentity): Promise<string> {
  const { client, channel } = createGrpcClient(service, address, tlsChannel(identity), callOpener(address, 20_000));
  try {
    return (await client.listModels({})).nextPageToken;
  } finally {
    channel.close();
  }
}

test('who trusts the authority, has its certificate and expects the right name is answered, and nobody else', async () => {
  await using authority = await TestAuthority.create();
  using server = await serve(authority);
  const files = await authority.issue('client');
  const [ca, cert, key] = await Promise.all(
    [authority.caFile, files.certFile, files.keyFile].map((file) => readFile(file, 'utf8')),
  );
  const serverName = 'gateway';
  expect(await askAs(server.address, { ca, cert, key, serverName })).toBe('answered');
  const refused = { code: 'STAGE_UNAVAILABLE' };
  await expect(askAs(server.address, { cert, key, serverName })).rejects.toMatchObject(refused);
  await expect(askAs(server.address, { ca, serverName })).rejects.toMatchObject(refused);
  await expect(askAs(server.address, { ca, cert, key })).rejects.toMatchObject(refused);
});
