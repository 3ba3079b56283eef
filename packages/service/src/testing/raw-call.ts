import { once } from 'node:events';
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2';
import { BadRequest, ErrorInfo, RequestInfo } from 'nice-grpc-error-details';
import { Status } from 'nice-grpc-error-details/lib/proto/google/rpc/status.js';

export interface RawCallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether the client takes the answer; one that does not leaves the server no room for a single byte of it. */
  readonly reads: boolean;
  /** Whether the client ends its side after the message; true if absent. */
  readonly ends?: boolean;
}

/** How a call ended, as a client sees it that knows nothing of Tessera. */
export interface RawEnd {
  /** The gRPC status; undefined where the stream was reset before one came. */
  readonly code: number | undefined;
  readonly message: string;
  /** From ErrorInfo. */
  readonly reason?: string;
  readonly domain?: string;
  /** From BadRequest. */
  readonly field?: string;
  /** From RequestInfo. */
  readonly requestId?: string;
}

export interface RawCall extends Disposable {
  readonly session: ClientHttp2Session;
  readonly ended: Promise<RawEnd>;
  /** Resolves with HTTP/2's error code when the stream is closed, by whomever. */
  readonly closed: Promise<number>;
}

/** A call straight over HTTP/2, with one message of any bytes. */
export async function rawCall(
  address: string,
  path: string,
  message: Uint8Array,
  { headers = {}, reads, ends = true }: RawCallOptions,
): Promise<RawCall> {
  const session = connect(`http://${address}`, reads ? {} : { settings: { initialWindowSize: 0 } });
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
  const last: IncomingHttpHeaders = {};
  stream.on('response', (received) => Object.assign(last, received));
  stream.on('trailers', (received) => Object.assign(last, received));
  const closed = once(stream, 'close').then(() => stream.rstCode ?? 0);
  if (reads) stream.resume();
  stream.write(frame(message));
  if (ends) stream.end();
  return { session, closed, ended: closed.then(() => readEnd(last)), [Symbol.dispose]: () => session.destroy() };
}

/** A message as gRPC frames it: one byte that says "not compressed", four of length, the bytes. */
function frame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
}

function readEnd(headers: IncomingHttpHeaders): RawEnd {
  const code = headers['grpc-status'];
  const rich = headers['grpc-status-details-bin'];
  const details = rich === undefined ? [] : Status.decode(Buffer.from(String(rich), 'base64')).details;
  const find = (type: string) => details.find(({ typeUrl }) => typeUrl === `type.googleapis.com/google.rpc.${type}`);
  const [info, bad, request] = [find('ErrorInfo'), find('BadRequest'), find('RequestInfo')];
  const { reason, domain } = info === undefined ? {} : ErrorInfo.decode(info.value);
  return {
    code: code === undefined ? undefined : Number(code),
    message: decodeURIComponent(String(headers['grpc-message'] ?? '')),
    reason,
    domain,
    field: bad === undefined ? undefined : BadRequest.decode(bad.value).fieldViolations[0]?.field,
    requestId: request === undefined ? undefined : RequestInfo.decode(request.value).requestId,
  };
}
