import { once } from 'node:events';
import { type ClientHttp2Stream, connect, createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { answerCalls } from './answer-calls.js';

/** What a token's event takes on the wire, about. */
const message = Buffer.alloc(40, 1);
const path = '/';

const taken: ServerHttp2Stream[] = [];
let given: ClientHttp2Stream[] = [];
let receivedBytes = 0;

/** A part of a chain of bare HTTP/2, without gRPC and without any work: a source, a relay between, or a sink. */
const calls = {
  /** @returns its port; each stream that is opened there is written to by `write`, or by what `relay` reads */
  async listen(): Promise<number> {
    const server = createServer();
    server.on('stream', (stream) => {
      stream.respond({ ':status': 200 });
      stream.on('error', () => undefined);
      taken.push(stream);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },

  /** Opens streams to a port over one connection, and counts what comes. */
  async open({ port, streams }: { port: number; streams: number }): Promise<void> {
    const session = connect(`http://127.0.0.1:${port}`);
    given = Array.from({ length: streams }, () => session.request({ ':path': path }));
    await Promise.all(given.map((stream) => once(stream, 'response')));
    for (const stream of given) {
      stream.on('error', () => undefined);
      stream.on('data', (data: Buffer) => {
        receivedBytes += data.byteLength;
      });
    }
  },

  /** From now on what comes of each opened stream is written to a stream that others opened here. */
  async relay(): Promise<void> {
    given.forEach((stream, index) => {
      stream.on('data', (data: Buffer) => taken[index]?.write(data));
    });
  },

  /** One message to each stream, every so many milliseconds, as an engine's steps do it. */
  async write({ steps, everyMs }: { steps: number; everyMs: number }): Promise<void> {
    for (let step = 0; step < steps; step++) {
      for (const stream of taken) stream.write(message);
      await delay(everyMs);
    }
  },

  /** Messages, of which two may come as one. */
  async received(): Promise<number> {
    return receivedBytes / message.byteLength;
  },
};

export type RelayCalls = typeof calls;

answerCalls(calls);
