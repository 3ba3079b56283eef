import { once } from 'node:events';
import { Client, credentials } from '@grpc/grpc-js';
import { ConnectorServiceDefinition, ConnectorServiceDescribeResponse } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { startService } from '../service/start-service.js';
import { commonSettings } from '../settings/common-settings.js';
import { grpcService } from './grpc-service.js';

/** A service that says when it has the first request, and how the stream of requests ended. */
async function startListener() {
  const ends: unknown[] = [];
  let seen = 0;
  const service = await startService(
    {
      name: 'connector',
      settings: commonSettings,
      async start() {
        const connector = grpcService(ConnectorServiceDefinition, {
          describe: async () => ConnectorServiceDescribeResponse.fromPartial({}),
          async *connect(requests) {
            try {
              for await (const _ of requests) {
                seen++;
                yield { visualTokens: undefined };
              }
              ends.push('whole');
            } catch (reason) {
              ends.push(reason);
              throw reason;
            }
          },
        });
        return { services: [connector], stop: async () => {} };
      },
    },
    { 'model.dir': 'none', 'log.level': 'silent' },
  );
  const client = new Client(service.grpcAddress, credentials.createInsecure());
  return {
    ends,
    seen: () => seen,
    call: () =>
      client.makeBidiStreamRequest(
        '/tessera.v1.ConnectorService/Connect',
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
      ),
    async [Symbol.asyncDispose]() {
      client.close();
      await service.stop();
    },
  };
}

test('a caller that leaves in the midst of its requests has not sent them all', async () => {
  await using listener = await startListener();
  for (let calls = 1; calls <= 20; calls++) {
    const call = listener.call();
    call.on('error', () => undefined);
    call.write(Buffer.alloc(0));
    await once(call, 'data');
    call.cancel();
    await expect.poll(() => listener.ends.length).toBe(calls);
    expect(listener.ends.at(-1)).toMatchObject({ code: 'CANCELLED' });
  }
});

test('a caller that closes its side has', async () => {
  await using listener = await startListener();
  const call = listener.call();
  call.write(Buffer.alloc(0));
  call.write(Buffer.alloc(0));
  call.end();
  await once(call.resume(), 'end');
  expect(listener.ends).toEqual(['whole']);
  expect(listener.seen()).toBe(2);
});
