import { once } from 'node:events';
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import type { CallEnd } from '@tessera/testing/grpc/call-end';
import { callHeaders, frame, readEnd } from '@tessera/testing/grpc/http2';
import { answerCalls } from './answer-calls.js';

/** How one call of a burst ended. */
export interface BurstEnd extends CallEnd {
  /** From the moment at which all were ready to be written until the status was there. */
  readonly afterMs: number;
}

let session: ClientHttp2Session | undefined;

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
  const stream = session.request(callHeaders(path, { 'grpc-timeout': '120S' }));
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
  return { ...readEnd(last), afterMs };
}

export type BurstCalls = typeof calls;

answerCalls(calls);
