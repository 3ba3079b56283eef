import { once } from 'node:events';
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { RetryInfo } from 'nice-grpc-error-details';
import { Status } from 'nice-grpc-error-details/lib/proto/google/rpc/status.js';
import { answerCalls } from './answer-calls.js';

/** How one call of a burst ended. */
export interface BurstEnd {
  /** gRPC's number. */
  readonly status: number;
  readonly message: string;
  /** From the moment at which all were ready to be written until the status was there. */
  readonly afterMs: number;
  readonly retryMs: number;
}

let session: ClientHttp2Session | undefined;

/** A message as gRPC frames it. */
function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
}

/**
 * Calls straight over HTTP/2, in a process of their own: 200 calls of a grpc-js client take it longer than the gateway
 * needs to refuse them, so they would measure the client.
 */
const calls = {
  async open(address: string): Promise<void> {
    session = connect(`http://${address}`);
    await once(session, 'connect');
  },

  /** All messages at once, each as a call of its own. */
  async burst({ path, messages }: { path: string; messages: readonly Uint8Array[] }): Promise<BurstEnd[]> {
    const start = { atMs: Number.NaN };
    const ends = messages.map((message) => one(path, frame(message), start));
    // They are written when this turn ends.
    start.atMs = performance.now();
    return await Promise.all(ends);
  },
};

async function one(path: string, bytes: Buffer, start: { readonly atMs: number }): Promise<BurstEnd> {
  if (session === undefined) throw new Error('the client is not connected');
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    'grpc-timeout': '120S',
  });
  let afterMs = Number.NaN;
  let last: IncomingHttpHeaders = {};
  const take = (headers: IncomingHttpHeaders): void => {
    if (headers['grpc-status'] === undefined) return;
    afterMs = performance.now() - start.atMs;
    last = headers;
  };
  stream.on('response', take);
  stream.on('trailers', take);
  stream.on('error', () => undefined);
  stream.resume();
  stream.end(bytes);
  await once(stream, 'close');
  return {
    status: Number(last['grpc-status']),
    message: String(last['grpc-message']),
    afterMs,
    retryMs: retryMs(last),
  };
}

function retryMs(headers: IncomingHttpHeaders): number {
  const rich = headers['grpc-status-details-bin'];
  if (rich === undefined) return 0;
  const { details } = Status.decode(Buffer.from(String(rich), 'base64'));
  const found = details.find(({ typeUrl }) => typeUrl.endsWith('google.rpc.RetryInfo'));
  const delay = found === undefined ? undefined : RetryInfo.decode(found.value).retryDelay;
  return delay === undefined ? 0 : delay.seconds * 1000 + delay.nanos / 1_000_000;
}

export type BurstCalls = typeof calls;

answerCalls(calls);
