import { createChannel, createClient as createPlainClient, Status } from 'nice-grpc';
import { HealthDefinition } from 'nice-grpc-server-health';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, type Probe, startProbe } from '../testing/start-probe.js';

let probe: Probe;
beforeAll(async () => {
  probe = await startProbe();
});
afterAll(async () => probe[Symbol.asyncDispose]());

async function refusal(text: string): Promise<unknown> {
  try {
    for await (const _ of probe.client.generate(ask(`say ${text}`), { timeoutMs: 60_000 }));
  } catch (error) {
    return error;
  }
  throw new Error('the call did not fail');
}

test.each([
  ['cut inside a surrogate pair', `a${'🙂'.repeat(600)}`],
  ['far over the limit of headers', '界'.repeat(100_000)],
  ['with control characters', 'first\r\ngrpc-status: 0\u0000\u001b[2J'],
])('a message %s reaches the caller', async (_, text) => {
  const error = await refusal(text);
  expect(error).toMatchObject({ code: 'REQUEST_INVALID' });
  const { message } = error as Error;
  expect(message).not.toMatch(/\p{Cc}|\p{Cs}|\ufffd/u);
  expect(Buffer.byteLength(message)).toBeLessThanOrEqual(1000);
  expect(message.slice(0, 5)).toBe(text.slice(0, 5));
});

test('a service that is not there is named to the caller of health, however long its name', async () => {
  const channel = createChannel(probe.service.grpcAddress);
  const health = createPlainClient(HealthDefinition, channel);
  const call = health.check({ service: `a${'🙂'.repeat(100_000)}` });
  await expect(call).rejects.toMatchObject({ code: Status.NOT_FOUND, details: /^no service a🙂/ });
  channel.close();
});
