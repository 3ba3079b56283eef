import { once } from 'node:events';
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import type { CallEnd } from './call-end.js';
import { callHeaders, frame, readEnd } from './http2.js';

export interface RawCallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether the client takes the answer; one that does not leaves the server no room for a single byte of it. */
  readonly reads: boolean;
  /** Whether the client ends its side after the messages; true if absent. */
  readonly ends?: boolean;
}

export interface RawCall extends Disposable {
  readonly session: ClientHttp2Session;
  readonly ended: Promise<CallEnd>;
  /** Resolves with HTTP/2's error code when the stream is closed, by whomever. */
  readonly closed: Promise<number>;
}

/** A call straight over HTTP/2, with messages of any bytes. */
export async function rawCall(
  address: string,
  path: string,
  messages: readonly Uint8Array[],
  { headers, reads, ends = true }: RawCallOptions,
): Promise<RawCall> {
  const session = connect(`http://${address}`, reads ? {} : { settings: { initialWindowSize: 0 } });
  session.on('error', () => {});
  await once(session, 'connect');
  const stream = session.request(callHeaders(path, headers));
  stream.on('error', () => {});
  const last: IncomingHttpHeaders = {};
  stream.on('response', (received) => Object.assign(last, received));
  stream.on('trailers', (received) => Object.assign(last, received));
  const closed = once(stream, 'close').then(() => stream.rstCode ?? 0);
  if (reads) stream.resume();
  for (const message of messages) stream.write(frame(message));
  if (ends) stream.end();
  return { session, closed, ended: closed.then(() => readEnd(last)), [Symbol.dispose]: () => session.destroy() };
}
