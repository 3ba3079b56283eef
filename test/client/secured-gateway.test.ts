import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ConnectOptions, connect } from '@tessera/client';
import { eventually } from '@tessera/testing/async/eventually';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { goldenCase, visibleAnswer } from '@tessera/testing/demo-model/goldens';
import { TestAuthority } from '@tessera/testing/tls/certificates';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Deployment, deploy } from '../support/deployment.js';

/** The gateway asks its callers for certificates. */
let files: TestAuthority;
let deployment: Deployment;
let tls: Exclude<ConnectOptions['tls'], true | undefined>;

beforeAll(async () => {
  files = await TestAuthority.create();
  const gateway = await files.issue('gateway');
  const caller = await files.issue('caller');
  deployment = await deploy({
    flags: {
      gateway: [
        ['--grpc-cert-file', gateway.certFile],
        ['--grpc-key-file', gateway.keyFile],
        ['--grpc-client-ca-file', files.caFile],
      ].flat(),
    },
  });
  // By name: an IP address is no name that TLS may ask for.
  tls = {
    ca: readFileSync(files.caFile),
    cert: readFileSync(caller.certFile, 'utf8'),
    key: readFileSync(caller.keyFile),
    serverName: 'localhost',
  };
});
afterAll(async () => {
  await deployment?.stop();
  await files?.[Symbol.asyncDispose]();
});

const once = { maxAttempts: 1 };

test('a model is described and listed over mutual TLS', async () => {
  using client = connect(deployment.gateway, { tls, retry: once });
  const { model, limits } = await client.describe();
  expect(model).toMatchObject({
    name: 'demo',
    weights: 'float32',
    inputModalities: ['text', 'image'],
    outputModalities: ['text', 'image'],
  });
  expect(model.revision).toMatch(/^[0-9a-f]{12}$/);
  expect(limits.contextTokens).toBe(model.contextTokens);
  for (const limit of Object.values(limits)) expect(limit).toBeGreaterThan(0);
  expect(await client.listModels()).toEqual([model]);
  await expect(client.describe('another')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
});

test('a picture behind a URL is fetched and asked about', async () => {
  const server = createServer((_request, response) => response.end(samplePicture('apple')));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/pictures/apple.png?size=small`;
    using client = connect(deployment.gateway, { tls, retry: once });
    const content = [{ image: { url } }, 'What is this?'];
    const answer = await client.chat({ messages: [{ role: 'user', content }], metadata: { ours: '1' } }).answer();
    expect(answer.text).toBe(visibleAnswer(goldenCase('apple.0')));
    expect(answer).toMatchObject({ finishReason: 'end', usage: { inputByModality: { image: 9 }, outputMedia: 0 } });
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test('an error of the gateway names the field and the request', async () => {
  using client = connect(deployment.gateway, { tls });
  const content = [{ image: { bytes: Buffer.from('no picture') } }];
  await expect(client.chat({ messages: [{ role: 'user', content }] }).answer()).rejects.toMatchObject({
    code: 'MEDIA_NOT_RECOGNISED',
    retryable: false,
    field: expect.stringContaining('media'),
    requestId: expect.stringMatching(/^[0-9a-f]+$/),
  });
});

test('leaving the loop cancels the request in the gateway', async () => {
  using client = connect(deployment.gateway, { tls, retry: once });
  const cancelled = () => deployment.metric('gateway', 'tessera_gateway_requests_total', { code: 'CANCELLED' });
  const before = await cancelled();
  const text = { temperature: 10, seed: 4, maxTokens: 500 };
  for await (const event of client.chat({ messages: [{ role: 'user', content: 'Hello!' }], text })) {
    if (event.type === 'text') break;
  }
  await eventually(async () => (await cancelled()) === before + 1, 'the gateway has counted it');
});

test.each([
  ['without TLS', () => undefined],
  ['without a certificate of its own', () => ({ ca: tls.ca, serverName: tls.serverName })],
  ['that does not trust the server', () => ({ ...tls, ca: undefined })],
])('a client %s is not served', async (_what, given) => {
  using client = connect(deployment.gateway, { tls: given(), retry: once });
  await expect(client.describe()).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
});
