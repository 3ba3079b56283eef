import { once } from 'node:events';
import { connect } from 'node:net';
import { Client, credentials } from '@grpc/grpc-js';
import { type ComputeRequest, ExpertServiceDefinition, encodeTensor } from '@tessera/protocol';
import { createClient, type Exchange } from '@tessera/service';
import { echoPath } from '../processes/echo-path.js';

/** Something that is sent to another process and answered by it, again and again, over what stays open. */
export interface RoundTrip extends Disposable {
  once(): Promise<void>;
}

const host = '127.0.0.1';
const asIs = (bytes: Buffer): Buffer => bytes;

/** So many bytes over TCP, and back. */
export async function overTcp(port: number, bytes: number): Promise<RoundTrip> {
  const socket = connect(port, host);
  socket.setNoDelay(true);
  await once(socket, 'connect');
  const message = Buffer.alloc(bytes, 1);
  let missing = 0;
  let arrived = (): void => {};
  socket.on('data', (data) => {
    missing -= data.length;
    if (missing === 0) arrived();
  });
  return {
    once: () =>
      new Promise((resolve) => {
        missing = bytes;
        arrived = resolve;
        socket.write(message);
      }),
    [Symbol.dispose]: () => socket.destroy(),
  };
}

/** So many bytes over a stream of grpc-js, and back. */
export function overGrpc(port: number, bytes: number): RoundTrip {
  const client = new Client(`${host}:${port}`, credentials.createInsecure());
  const stream = client.makeBidiStreamRequest<Buffer, Buffer>(echoPath, asIs, asIs);
  const message = Buffer.alloc(bytes, 1);
  let arrived = (): void => {};
  stream.on('data', () => arrived());
  stream.on('error', () => undefined);
  return {
    once: () =>
      new Promise((resolve) => {
        arrived = resolve;
        stream.write(message);
      }),
    [Symbol.dispose]() {
      stream.cancel();
      client.close();
    },
  };
}

/** Rows for one expert of a shard, and its answers. */
export async function toExpert(
  address: string,
  {
    revision,
    layer,
    expert,
    rows,
    width,
  }: Record<'layer' | 'expert' | 'rows' | 'width', number> & { revision: string },
): Promise<RoundTrip> {
  const client = createClient(ExpertServiceDefinition, address);
  const tensor = { dtype: 'float32', shape: [rows, width], data: new Float32Array(rows * width).fill(0.1) } as const;
  let call = 0;
  let arrived = (): void => {};
  let failed = (_: unknown): void => {};
  const begun = new Promise<void>((resolve, reject) => {
    arrived = resolve;
    failed = reject;
  });
  const stream: Exchange<ComputeRequest> = client.exchange(ExpertServiceDefinition.methods.compute, {
    onMessage: ({ message }) => (message?.$case === 'failure' ? failed(new Error(message.value.message)) : arrived()),
    onEnd: (error) => failed(error),
  });
  stream.send({ message: { $case: 'start', value: { revision, placementEpoch: 1 } } });
  await begun;
  return {
    once: () =>
      new Promise((resolve, reject) => {
        arrived = resolve;
        failed = reject;
        const value = {
          call: ++call,
          layer,
          experts: [expert],
          rowCounts: [rows],
          rows: encodeTensor(tensor, 'float32'),
        };
        stream.send({ message: { $case: 'batch', value } });
      }),
    [Symbol.dispose]() {
      stream.cancel();
      client.close();
    },
  };
}
