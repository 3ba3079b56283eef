import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { Server, ServerCredentials, type ServerWritableStream } from '@grpc/grpc-js';
import { Bus, type BusOptions } from '@tessera/bus';
import {
  drawingEvents,
  encodeTensor,
  type Float32Tensor,
  tensor,
  VisualTokenRows,
  visualTokens,
} from '@tessera/protocol';
import { median } from '../statistics.js';
import { answerCalls } from './answer-calls.js';
import {
  chunkBytes,
  chunksPath,
  chunksPerPicture,
  pictureBytes,
  tileBytes,
  tileShape,
  tilesPerPicture,
  tileValue,
} from './picture-shape.js';

/** Tiles that are being sent at one time: with four parts of each in flight, 16 messages. */
const tilesAtOnce = 4;
/** The parts of one drawing go one after the other, so as many drawings for as many messages in flight. */
const drawingsAtOnce = 16;
const deadlineAfterMs = 10 * 60_000;
const conversions = 5;

export interface Sent {
  readonly messages: number;
  /** How often a message found the stream full. */
  readonly full: number;
  /** How long the messages that did waited, all together. */
  readonly waitedMs: number;
}

export interface Shipment {
  /** The receiver's address. */
  readonly address: string;
  readonly requestIds: readonly string[];
}

const tiles: Float32Tensor[] = Array.from({ length: tilesPerPicture }, (_, tile) => {
  const data = Float32Array.from({ length: tileShape[0] * tileShape[1] }, (_, index) => tileValue(tile, index));
  return tensor('float32', tileShape, data);
});
const chunk = Buffer.alloc(chunkBytes, 7);
let bus: Bus | undefined;
let messages = 0;
let full = 0;
let waitedMs = 0;

/** Sends all, so many at a time, in their order, and counts what that took. */
async function send<T>(items: readonly T[], atOnce: number, one: (bus: Bus, item: T) => Promise<void>): Promise<Sent> {
  if (bus === undefined) throw new Error('the connector is not connected');
  const through = bus;
  [messages, full, waitedMs] = [0, 0, 0];
  const waiting = items.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const item of waiting) await one(through, item);
    }),
  );
  return { messages, full, waitedMs };
}

async function listenTcp(): Promise<number> {
  const server = createServer(async (socket: Socket) => {
    socket.on('error', () => socket.destroy());
    const [wanted] = (await once(socket, 'data')) as [Buffer];
    for (let left = Number(wanted.toString()); left > 0 && !socket.destroyed; left--) {
      if (!socket.write(chunk)) await once(socket, 'drain');
    }
    socket.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}

async function streamChunks(call: ServerWritableStream<Buffer, Buffer>): Promise<void> {
  for (let left = Number(call.request.toString()); left > 0 && !call.cancelled; left--) {
    if (!call.write(chunk)) await once(call, 'drain');
  }
  call.end();
}

/** Bytes as they are: what protobuf would cost is not gRPC's. */
const asIs = (bytes: Buffer): Buffer => bytes;

async function listenGrpc(): Promise<number> {
  const server = new Server();
  const method = {
    path: chunksPath,
    requestStream: false,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  server.addService({ stream: method }, { stream: streamChunks });
  return await new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
}

/** Sends what a connector of a large model sends, in each of the ways that are compared. */
const calls = {
  async open(options: Pick<BusOptions, 'url' | 'prefix' | 'revision'>): Promise<{ tcp: number; grpc: number }> {
    bus = await Bus.connect({
      ...options,
      name: 'bench connector',
      limits: { maxTensorBytes: tileBytes },
      observer: {
        published: () => messages++,
        queueFull: () => full++,
        fullWaited: (_, ms) => {
          waitedMs += ms;
        },
      },
    });
    await bus.setup();
    return { tcp: await listenTcp(), grpc: await listenGrpc() };
  },

  async sendTokens({ address, requestIds }: Shipment): Promise<Sent> {
    const shipped = requestIds.flatMap((requestId) => tiles.map((tokens, tile) => ({ requestId, tile, tokens })));
    const deadlineMs = Date.now() + deadlineAfterMs;
    return await send(shipped, tilesAtOnce, async (through, { requestId, tile, tokens }) => {
      const content = { key: { requestId, attempt: 1, item: 0 }, tile, tensor: tokens, timings: [] };
      await through.send(visualTokens, content, { deadlineMs, deliverTo: address });
    });
  },

  /** The same bytes in the same way, but for the tensors: as parts of finished drawings. */
  async sendDrawings({ address, requestIds }: Shipment): Promise<Sent> {
    const deadlineMs = Date.now() + deadlineAfterMs;
    return await send(requestIds, drawingsAtOnce, async (through, requestId) => {
      for (let sequence = 0; sequence < chunksPerPicture; sequence++) {
        const last = sequence === chunksPerPicture - 1;
        await through.send(
          drawingEvents,
          {
            key: { requestId, attempt: 1, item: 0 },
            sequence,
            event: { $case: 'picturePart', value: { data: chunk, last, mimeType: 'image/png' } },
            timing: undefined,
          },
          { deadlineMs, deliverTo: address },
        );
      }
    });
  },

  /** Processor time, milliseconds, that it takes to turn one picture's tokens into messages, without sending them. */
  async convert(): Promise<number> {
    const rows = chunkBytes / (pictureBytes / tilesPerPicture / tileShape[0]);
    const part = tensor(
      'float32',
      [rows, tileShape[1]],
      (tiles[0] as Float32Tensor).data.subarray(0, rows * tileShape[1]),
    );
    const times: number[] = [];
    for (let n = 0; n < conversions; n++) {
      const before = process.cpuUsage();
      for (let sent = 0; sent < chunksPerPicture; sent++) {
        const key = { requestId: 'r', attempt: 1, item: 0 };
        VisualTokenRows.encode({
          key,
          tile: 0,
          part: 0,
          parts: 1,
          rows: encodeTensor(part, 'float16'),
          timings: [],
        }).finish();
      }
      times.push(process.cpuUsage(before).user / 1000);
    }
    return median(times);
  },
};

export type ConnectorCalls = typeof calls;

answerCalls(calls);
