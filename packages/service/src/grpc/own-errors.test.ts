import { GenerateRequest } from '@tessera/protocol';
import type { CallEnd } from '@tessera/testing/grpc/call-end';
import { rawCall } from '@tessera/testing/grpc/raw-call';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, type Probe, startProbe } from '../testing/start-probe.js';

let probe: Probe;
beforeAll(async () => {
  probe = await startProbe({ 'grpc.maxMessageBytes': 10_000 });
});
afterAll(async () => probe[Symbol.asyncDispose]());

/** How the server ends a call of these bytes. */
async function end(bytes: Uint8Array, headers: Record<string, string> = {}): Promise<CallEnd> {
  const path = '/tessera.v1.LlmService/Generate';
  using call = await rawCall(probe.service.grpcAddress, path, [bytes], { headers, reads: true });
  return await call.ended;
}

function generate(what: string): Uint8Array {
  return GenerateRequest.encode(GenerateRequest.fromPartial(ask(what))).finish();
}

test('bytes that are no message are REQUEST_INVALID', async () => {
  expect(await end(Buffer.from([0xff, 0xff, 0xff, 0xff]))).toMatchObject({
    status: 'INVALID_ARGUMENT',
    code: 'REQUEST_INVALID',
    domain: 'tessera',
    message: expect.stringContaining('tessera.v1.LlmService/Generate'),
  });
});

test('a message over the limit is MESSAGE_TOO_LARGE, with both sizes', async () => {
  expect(await end(Buffer.alloc(20_000))).toMatchObject({
    status: 'INVALID_ARGUMENT',
    code: 'MESSAGE_TOO_LARGE',
    domain: 'tessera',
    message: expect.stringMatching(/20000 bytes.*10000/),
  });
});

test('an answer over the limit is MESSAGE_TOO_LARGE too', async () => {
  expect(await end(generate('long 20000'))).toMatchObject({ code: 'MESSAGE_TOO_LARGE', domain: 'tessera' });
});

test('a grpc-timeout that is none is REQUEST_INVALID', async () => {
  expect(await end(generate('text 1'), { 'grpc-timeout': 'soon' })).toMatchObject({
    status: 'INVALID_ARGUMENT',
    code: 'REQUEST_INVALID',
    message: expect.stringContaining('grpc-timeout'),
  });
});

test("a caller's deadline, which gRPC itself sees first, is DEADLINE_EXCEEDED and tells the request", async () => {
  expect(await end(generate('named wait'), { 'grpc-timeout': '300m' })).toMatchObject({
    status: 'DEADLINE_EXCEEDED',
    code: 'DEADLINE_EXCEEDED',
    requestId: 'the-request',
  });
});

test('an error of a handler tells the request once there is one', async () => {
  const requestId = 'the-request';
  expect(await end(generate('named fail QUEUE_FULL'))).toMatchObject({ code: 'QUEUE_FULL', requestId });
  expect(await end(generate('named fault'))).toMatchObject({ code: 'INTERNAL', requestId });
  const unnamed = await end(generate('fail QUEUE_FULL'));
  expect(unnamed).toMatchObject({ code: 'QUEUE_FULL' });
  expect(unnamed).not.toHaveProperty('requestId');
});

test("Tessera's own client hands the request on", async () => {
  const call = (async () => {
    for await (const _ of probe.client.generate(ask('named fail QUEUE_FULL')));
  })();
  await expect(call).rejects.toMatchObject({ code: 'QUEUE_FULL', options: { requestId: 'the-request' } });
});
