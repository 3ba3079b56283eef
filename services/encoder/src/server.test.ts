import { demoBundle, goldenTensor } from '@tessera/compiler/testing/demo-model';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import {
  type EncodeRequest,
  EncoderServiceDefinition,
  SegmentRole,
  TensorCollector,
  WeightFormat,
} from '@tessera/protocol';
import { createClient, startService, type TesseraClient } from '@tessera/service';
import { metricValues } from '@tessera/service/testing/metric-values';
import { collect } from '@tessera/testing/async/collect';
import { eventually } from '@tessera/testing/async/eventually';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { relativeError } from '@tessera/testing/numbers/relative-error';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encoder } from './start.js';

const maxMediaBytes = 2 * 1024 * 1024;
let nats: NatsServer;
let dir: string;
let service: Awaited<ReturnType<typeof startService>>;
let client: TesseraClient<typeof EncoderServiceDefinition>;
let apple: Uint8Array;
let revision: string;

const start = (settings: { 'requests.maxPauseMs'?: number } = {}) =>
  startService(encoder, {
    'model.dir': dir,
    'nats.url': nats.url,
    'nats.prefix': 'encoderserver',
    'log.level': 'silent',
    'media.maxBytes': maxMediaBytes,
    'calls.max': 2,
    ...settings,
  });

beforeAll(async () => {
  const bundle = await demoBundle();
  revision = bundle.manifest.revision;
  apple = samplePicture('apple');
  nats = await startNatsServer();
  dir = bundle.dir;
  service = await start();
  client = createClient(EncoderServiceDefinition, service.grpcAddress);
});

afterAll(async () => {
  client.close();
  await service.stop();
  await nats.stop();
});

type Part = { name?: string; data: Uint8Array; last?: boolean };

async function* sent(parts: Iterable<Part>): AsyncGenerator<EncodeRequest> {
  for (const { name = 'a', data, last = false } of parts) yield { mediaPart: { name, data, last } };
}

const encode = (parts: Iterable<Part>, options = {}) => collect(client.encode(sent(parts), options));

async function openCalls({ metrics }: typeof service): Promise<number> {
  const running = await metricValues(metrics, 'tessera_grpc_requests_running');
  return running.find(({ labels }) => labels.method === 'Encode')?.value ?? 0;
}

/** A service of its own, with a client; `ended` resolves when the test is over. */
async function started(settings: Parameters<typeof start>[0] = {}) {
  const own = await start(settings);
  const ownClient = createClient(EncoderServiceDefinition, own.grpcAddress);
  let end: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return {
    service: own,
    client: ownClient,
    ended,
    [Symbol.asyncDispose]: async () => {
      end();
      ownClient.close();
      await own.stop();
    },
  };
}

const whole = (): Part[] => [{ data: apple, last: true }];

async function expectRight(): Promise<void> {
  const [response, ...others] = await encode(whole());
  expect(others).toEqual([]);
  const place = { columns: 1, rows: 1, column: 0, row: 0 };
  expect(response).toMatchObject({ segment: { index: 0, role: SegmentRole.WHOLE, place }, segments: 1 });
  const features = new TensorCollector(36 * 256, 'features').add(response?.features);
  if (features === undefined) throw new Error('the features have more than one part');
  expect(relativeError(features, await goldenTensor('apple.features'))).toBeLessThan(2e-3 + 2 ** -11);
}

test('says what it holds', async () => {
  expect(await client.describe({})).toMatchObject({
    model: { revision, weights: WeightFormat.FLOAT32 },
    tileHeight: 96,
    tileWidth: 96,
    patches: 36,
    width: 256,
  });
});

test('encodes a picture sent in parts', async () => {
  await expectRight();
  const third = Math.ceil(apple.length / 3);
  const parts = [0, 1, 2].map((n) => ({ data: apple.subarray(n * third, (n + 1) * third), last: n === 2 }));
  // One after the other, so that both are computed alone.
  const [one] = await encode(whole());
  const [parted] = await encode(parts);
  expect(parted?.features).toEqual(one?.features);
});

test.each<[string, string, string | undefined, () => Iterable<Part>]>([
  ['no part at all', 'MEDIA_MISSING', 'media_part.last', () => []],
  ['an end before the last part', 'MEDIA_MISSING', 'media_part.last', () => [{ data: apple }]],
  [
    'a second item',
    'REQUEST_INVALID',
    'media_part.name',
    () => [{ data: apple }, { name: 'b', data: apple, last: true }],
  ],
  [
    'a part over 512 KiB',
    'MESSAGE_TOO_LARGE',
    'media_part.data',
    () => [{ data: Buffer.alloc(513 * 1024), last: true }],
  ],
  [
    'more bytes than allowed',
    'MEDIA_TOO_LARGE',
    'media_part.data',
    () => Array(5).fill({ data: Buffer.alloc(512 * 1024) }),
  ],
  ['what is no picture', 'MEDIA_NOT_RECOGNISED', undefined, () => [{ data: Buffer.from('hello, world'), last: true }]],
  ['no bytes', 'MEDIA_EMPTY', undefined, () => [{ data: Buffer.alloc(0), last: true }]],
  ['a cut picture', 'MEDIA_CORRUPT', undefined, () => [{ data: apple.subarray(0, apple.length / 2), last: true }]],
])('refuses %s, and answers the next call', async (_, code, field, parts) => {
  await expect(encode(parts())).rejects.toMatchObject({ code, field });
  await expectRight();
});

test('a deadline of 1 ms ends the call by its name, and the next is right', async () => {
  await expect(encode(whole(), { timeoutMs: 1 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  await expectRight();
});

test('refuses calls over the limit, and forgets those whose client has left', async () => {
  const leaving = new AbortController();
  async function* unfinished(): AsyncGenerator<EncodeRequest> {
    yield { mediaPart: { name: 'a', data: apple.subarray(0, 100), last: false } };
    await new Promise((resolve) => leaving.signal.addEventListener('abort', resolve));
  }
  const open = [0, 1].map(() =>
    client
      .encode(unfinished(), { signal: leaving.signal })
      [Symbol.asyncIterator]()
      .next()
      .catch((error: unknown) => error),
  );
  await eventually(async () => (await openCalls(service)) === 2, 'both are open');
  await expect(encode(whole())).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  leaving.abort();
  for (const ended of open) expect(await ended).toMatchObject({ code: 'CANCELLED' });
  await eventually(async () => (await openCalls(service)) === 0, 'both are let go');
  await expectRight();
});

/** Sends a part that is not the last, and then nothing until it is told to end. */
async function* silent(end: Promise<unknown>): AsyncGenerator<EncodeRequest> {
  yield { mediaPart: { name: 'a', data: apple.subarray(0, 100), last: false } };
  await end;
}

test('callers that begin and say nothing more lose their places', async () => {
  await using other = await started({ 'requests.maxPauseMs': 200 });
  const ends = [0, 1].map(() => collect(other.client.encode(silent(other.ended))));
  // Both at once: the second may end before the first.
  await Promise.all(ends.map((end) => expect(end).rejects.toMatchObject({ code: 'REQUEST_STALLED' })));
  expect(await collect(other.client.encode(sent(whole())))).toHaveLength(1);
});

test('a drain does not wait for a caller that says nothing more', async () => {
  await using other = await started();
  const end = collect(other.client.encode(silent(other.ended)));
  await eventually(async () => (await openCalls(other.service)) === 1, 'the call is open');
  const stopped = other.service.stop();
  await expect(end).rejects.toMatchObject({ code: 'DRAINING' });
  await stopped;
});
