import type { Profile } from '@tessera/adviser';
import {
  ConnectorServiceDefinition,
  EncoderServiceDefinition,
  encodeTensorParts,
  maxPartBytes,
  TesseraError,
  tensor,
} from '@tessera/protocol';
import { createClient } from '@tessera/service';
import { newPicture } from './asker.js';
import type { StageAddress } from './deployment.js';
import type { Measuring } from './measuring.js';
import { curveOf, doubling, repeat, together } from './statistics.js';

type Curve = Profile['llm']['prefillMs'];

export interface MeasuredTiles {
  readonly batchMs: Curve;
  readonly maxBatch: number;
}

/** The encoder's batches, by its own gRPC: so many calls at once with a picture of one tile each. */
export async function measureEncoder(measuring: Measuring, address: StageAddress): Promise<MeasuredTiles> {
  const { signal, channel, manifest } = measuring;
  using client = closing(createClient(EncoderServiceDefinition, address.grpc, channel));
  const { maxBatch, tileWidth, tileHeight, model } = await reach('encoder', address, () =>
    client.describe({}, { signal }),
  );
  requireRevision('encoder', model?.revision, manifest.revision);
  const pictures = await repeat(maxBatch, () => newPicture(tileWidth, tileHeight));
  const encode = async (at: number): Promise<void> => {
    const picture = pictures[at % pictures.length] as Uint8Array;
    const parts = (async function* () {
      for (let from = 0; from < picture.length; from += maxPartBytes) {
        const data = picture.subarray(from, from + maxPartBytes);
        yield { mediaPart: { name: 'picture', data, last: from + maxPartBytes >= picture.length } };
      }
    })();
    for await (const _ of client.encode(parts, { signal }));
  };
  return { batchMs: await batches(measuring, 'encoder', maxBatch, encode), maxBatch };
}

/** The connector's batches, by its own gRPC. */
export async function measureConnector(measuring: Measuring, address: StageAddress): Promise<MeasuredTiles> {
  const { signal, channel, manifest } = measuring;
  using client = closing(createClient(ConnectorServiceDefinition, address.grpc, channel));
  const { maxBatch, patches, width, model } = await reach('connector', address, () => client.describe({}, { signal }));
  requireRevision('connector', model?.revision, manifest.revision);
  const features = tensor(
    'float32',
    [patches, width],
    Float32Array.from({ length: patches * width }, (_, at) => Math.sin(at)),
  );
  const connect = async (): Promise<void> => {
    const parts = (async function* () {
      for (const part of encodeTensorParts(features, 'float16')) yield { features: part };
    })();
    for await (const _ of client.connect(parts, { signal }));
  };
  return { batchMs: await batches(measuring, 'connector', maxBatch, connect), maxBatch };
}

/** What a stage's batches take, from its own counters, with more and more calls at once. */
async function batches(
  { meter, times, tell }: Measuring,
  stage: 'encoder' | 'connector',
  maxBatch: number,
  call: (at: number) => Promise<void>,
): Promise<Curve> {
  await call(0);
  const points: { size: number; ms: number }[] = [];
  for (const calls of doubling(maxBatch)) {
    tell(`${stage}: ${calls} tiles at once`);
    const spent = await meter.during(() => repeat(times(16), () => together(calls, call)));
    const { count, rows } = spent.batches(stage);
    if (count > 0) points.push({ size: rows / count, ms: spent.busyMs(stage) / count });
  }
  if (points.length === 0) {
    throw new TesseraError(
      'STAGE_UNAVAILABLE',
      `the ${stage} answered, but its metrics count no batch: is it of another replica than its gRPC?`,
    );
  }
  return curveOf(points);
}

/** A client that is closed at the end of a block. */
export function closing<Client extends { close(): void }>(client: Client): Client & Disposable {
  return Object.assign(client, { [Symbol.dispose]: () => client.close() });
}

/** Has a stage say something. @throws TesseraError STAGE_UNAVAILABLE that names the stage and its address */
export async function reach<Answer>(
  stage: string,
  { grpc }: StageAddress,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  try {
    return await ask();
  } catch (reason) {
    const error = TesseraError.from(reason);
    throw new TesseraError(error.code, `the ${stage} cannot be reached at ${grpc}: ${error.message}`, {
      cause: reason,
    });
  }
}

/** @throws TesseraError CONFIG_INVALID */
export function requireRevision(stage: string, theirs: string | undefined, ours: string): void {
  if (theirs === ours) return;
  throw new TesseraError('CONFIG_INVALID', `the ${stage} serves revision ${theirs}; the bundle is revision ${ours}`);
}
