import { Metadata, Server, ServerCredentials, type ServerDuplexStream, status } from '@grpc/grpc-js';
import { ErrorInfo, RequestInfo, RetryInfo } from 'nice-grpc-error-details';
import { Status } from 'nice-grpc-error-details/lib/proto/google/rpc/status.js';
import { expect, onTestFinished, test } from 'vitest';
import { callEnd } from './call-end.js';
import { rawCall } from './raw-call.js';

const details = Buffer.from(
  Status.encode(
    Status.fromPartial({
      code: status.RESOURCE_EXHAUSTED,
      message: 'zu viel: 3 wollen',
      details: [
        {
          typeUrl: 'type.googleapis.com/google.rpc.ErrorInfo',
          value: ErrorInfo.encode(ErrorInfo.fromPartial({ reason: 'QUEUE_FULL', domain: 'tessera' })).finish(),
        },
        {
          typeUrl: 'type.googleapis.com/google.rpc.RequestInfo',
          value: RequestInfo.encode(RequestInfo.fromPartial({ requestId: 'one' })).finish(),
        },
        {
          typeUrl: 'type.googleapis.com/google.rpc.RetryInfo',
          value: RetryInfo.encode(RetryInfo.fromPartial({ retryDelay: { seconds: 1, nanos: 500_000_000 } })).finish(),
        },
      ],
    }),
  ).finish(),
);
const asIs = (bytes: Buffer): Buffer => bytes;

/** A server whose only method takes any messages, and then ends as it is told. */
async function serverThat(
  end: (call: ServerDuplexStream<Buffer, Buffer>, messages: Buffer[]) => void,
): Promise<string> {
  const server = new Server();
  onTestFinished(() => server.forceShutdown());
  const method = {
    path: '/any.Service/Method',
    requestStream: true,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  const handler = (call: ServerDuplexStream<Buffer, Buffer>): void => {
    const messages: Buffer[] = [];
    call.on('data', (message: Buffer) => messages.push(message));
    call.on('end', () => end(call, messages));
  };
  server.addService({ method }, { method: handler });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return `127.0.0.1:${port}`;
}

test('a refusal is told with its status and every detail', async () => {
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', details);
  const address = await serverThat((call) =>
    call.emit('error', { code: status.RESOURCE_EXHAUSTED, details: 'zu viel: 3 wöllen', metadata }),
  );
  using call = await rawCall(address, '/any.Service/Method', [Buffer.of()], { reads: true });
  expect(await call.ended).toEqual({
    status: 'RESOURCE_EXHAUSTED',
    message: 'zu viel: 3 wöllen',
    code: 'QUEUE_FULL',
    domain: 'tessera',
    requestId: 'one',
    retryAfterMs: 1500,
  });
});

test('every message arrives as its bytes are, and a good end has no details', async () => {
  let arrived: Buffer[] = [];
  const address = await serverThat((call, messages) => {
    arrived = messages;
    call.end();
  });
  using call = await rawCall(address, '/any.Service/Method', [Buffer.from('one'), Buffer.of(255)], { reads: true });
  expect(await call.ended).toEqual({ status: 'OK', message: 'OK' });
  expect(arrived).toEqual([Buffer.from('one'), Buffer.of(255)]);
});

test('a stream without a status has none', () => {
  expect(callEnd(undefined, '')).toEqual({ message: '' });
});
