import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type handleBidiStreamingCall, Server, ServerCredentials } from '@grpc/grpc-js';
import { answerCalls } from './answer-calls.js';
import { echoPath } from './echo-path.js';

const asIs = (bytes: Buffer): Buffer => bytes;

/** Sends back what comes, without any work: what a round trip to another process takes at least. */
const calls = {
  /** @returns the port of a bare TCP server */
  async tcp(): Promise<number> {
    const server = createServer((socket) => {
      socket.setNoDelay(true);
      socket.on('data', (data) => socket.write(data));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },

  /** @returns the port of a server of grpc-js alone, with a stream of bytes to and fro */
  async grpc(): Promise<number> {
    const server = new Server();
    const echo: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
      call.on('data', (data: Buffer) => call.write(data));
      call.on('end', () => call.end());
      call.on('error', () => undefined);
    };
    const serialization = {
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    };
    const method = { path: echoPath, requestStream: true, responseStream: true, ...serialization } as const;
    server.addService({ echo: method }, { echo });
    return await new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
  },
};

export type EchoCalls = typeof calls;

answerCalls(calls);
