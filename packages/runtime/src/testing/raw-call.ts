import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';

/** A message as gRPC frames it: one byte that says "not compressed", four of length, the bytes. */
export function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
}

export interface RawCall extends AsyncDisposable {
  readonly session: ClientHttp2Session;
  readonly stream: ClientHttp2Stream;
  /** Resolves with HTTP/2's error code when the stream is closed, by whomever. */
  readonly closed: Promise<number>;
}

/** A call straight over HTTP/2, by a client that leaves the server no room for a single byte of an answer. */
export async function callWithoutReading(
  address: string,
  path: string,
  message: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Promise<RawCall> {
  const session = connect(`http://${address}`, { settings: { initialWindowSize: 0 } });
  session.on('error', () => {});
  await once(session, 'connect');
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: path,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
    [constants.HTTP2_HEADER_TE]: 'trailers',
    ...headers,
  });
  stream.on('error', () => {});
  const closed = once(stream, 'close').then(() => stream.rstCode ?? 0);
  stream.end(frame(message));
  return {
    session,
    stream,
    closed,
    async [Symbol.asyncDispose]() {
      session.destroy();
    },
  };
}
