import { type ErrorCode, errorTable, LlmServiceDefinition, TesseraError } from '@tessera/protocol';
import { createChannel, createClientFactory, Status } from 'nice-grpc';
import {
  BadRequest,
  ErrorInfo,
  errorDetailsClientMiddleware,
  RetryInfo,
  RichClientError,
} from 'nice-grpc-error-details';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, type Probe, startProbe } from '../testing/start-probe.js';
import { createClient } from './create-client.js';

let probe: Probe;
beforeAll(async () => {
  probe = await startProbe({ 'grpc.maxMessageBytes': 10_000 });
});
afterAll(async () => probe[Symbol.asyncDispose]());

async function failure(what: string): Promise<TesseraError> {
  try {
    for await (const _ of probe.client.generate(ask(what)));
  } catch (error) {
    expect(error).toBeInstanceOf(TesseraError);
    return error as TesseraError;
  }
  throw new Error('the call did not fail');
}

test('an error keeps its code, message, delay and field from handler to caller', async () => {
  const error = await failure('fail QUEUE_FULL');
  expect(error.code).toBe('QUEUE_FULL');
  expect(error.message).toBe('asked to fail with QUEUE_FULL');
  expect(error.options).toMatchObject({ retryAfterMs: 1500, field: 'request_id' });
});

test('every code of the table but INTERNAL crosses', async () => {
  for (const code of Object.keys(errorTable) as ErrorCode[]) {
    if (code !== 'INTERNAL') expect((await failure(`fail ${code}`)).code).toBe(code);
  }
});

test('a client without Tessera sees the status and google.rpc details', async () => {
  const channel = createChannel(probe.service.grpcAddress);
  const client = createClientFactory().use(errorDetailsClientMiddleware).create(LlmServiceDefinition, channel);
  try {
    for await (const _ of client.generate(ask('fail REQUEST_INVALID')));
    throw new Error('the call did not fail');
  } catch (error) {
    if (!(error instanceof RichClientError)) throw error;
    expect(error.code).toBe(Status.INVALID_ARGUMENT);
    expect(error.extra).toMatchObject([
      { $type: ErrorInfo.$type, reason: 'REQUEST_INVALID', domain: 'tessera' },
      { $type: RetryInfo.$type, retryDelay: { seconds: 1, nanos: 500_000_000 } },
      { $type: BadRequest.$type, fieldViolations: [{ field: 'request_id' }] },
    ]);
  } finally {
    channel.close();
  }
});

test('a fault is told by its trace, not by its message; the log has both', async () => {
  const error = await failure('fault');
  expect(error.code).toBe('INTERNAL');
  expect(error.message).not.toContain('secret');
  const line = probe.lines.find((each) => each.msg === 'call failed by a fault');
  expect(line).toMatchObject({ level: 'error', err: { message: 'a secret of the implementation' } });
  expect(error.message).toContain(line?.trace_id);
});

test('a message over the limit is MESSAGE_TOO_LARGE', async () => {
  expect((await failure(`text ${'0'.repeat(20_000)}1`)).code).toBe('MESSAGE_TOO_LARGE');
});

test('a server that is not there is STAGE_UNAVAILABLE, naming its address', async () => {
  const gone = createClient(LlmServiceDefinition, '127.0.0.1:1');
  await expect(gone.describe({})).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE', message: /127\.0\.0\.1:1/ });
  gone.close();
});
