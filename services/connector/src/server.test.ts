import { demoBundle, goldenTensor } from '@tessera/compiler/testing/demo-model';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import {
  ConnectorServiceDefinition,
  type ConnectRequest,
  type ConnectResponse,
  DataType,
  encodeTensorParts,
  type Float32Tensor,
  TensorCollector,
  type TensorPart,
} from '@tessera/protocol';
import { createClient, startService, type TesseraClient } from '@tessera/service';
import { metricValues } from '@tessera/service/testing/metric-values';
import { collect } from '@tessera/testing/async/collect';
import { deferred } from '@tessera/testing/async/deferred';
import { eventually } from '@tessera/testing/async/eventually';
import { relativeError } from '@tessera/testing/numbers/relative-error';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connector } from './start.js';

const tolerance = 2e-3 + 2 * 2 ** -11;
let nats: NatsServer;
let dir: string;
let service: Awaited<ReturnType<typeof startService>>;
let client: TesseraClient<typeof ConnectorServiceDefinition>;

const start = (settings: { 'requests.maxPauseMs'?: number } = {}) =>
  startService(connector, { 'model.dir': dir, 'nats.url': nats.url, 'log.level': 'silent', ...settings });

beforeAll(async () => {
  dir = (await demoBundle()).dir;
  nats = await startNatsServer();
  service = await start();
  client = createClient(ConnectorServiceDefinition, service.grpcAddress);
});

afterAll(async () => {
  client.close();
  await service.stop();
  await nats.stop();
});

async function* sent(parts: Iterable<TensorPart | undefined>): AsyncGenerator<ConnectRequest> {
  for (const features of parts) yield { features };
}

/** The only part of a tensor of the demo model. */
function onePart(tensor: Float32Tensor, as: 'float16' | 'float32'): TensorPart {
  const [part, ...more] = encodeTensorParts(tensor, as);
  if (part === undefined || more.length > 0) throw new Error('the tensor is not one part');
  return part;
}

function visualTokens(response: ConnectResponse | undefined): Float32Tensor {
  const tokens = new TensorCollector(9 * 256, 'visual_tokens').add(response?.visualTokens);
  if (tokens === undefined) throw new Error('the visual tokens are not one part');
  return tokens;
}

async function connect(tensors: Iterable<TensorPart | undefined>, options = {}): Promise<ConnectResponse[]> {
  return await collect(client.connect(sent(tensors), options));
}

async function expectRight(): Promise<void> {
  const [response] = await connect([onePart(await goldenTensor('apple.features'), 'float16')]);
  expect(relativeError(visualTokens(response), await goldenTensor('apple.visual_tokens'))).toBeLessThan(tolerance);
}

test('says what it holds', async () => {
  expect(await client.describe({})).toMatchObject({ patches: 36, width: 256, tokenCount: 9, llmWidth: 256 });
});

test('answers each tile in order, in either precision', async () => {
  const names = ['apple', 'cat', 'rocket', 'pair', 'count'];
  const tensors = await Promise.all(
    names.map(async (name, at) => onePart(await goldenTensor(`${name}.features`), at % 2 ? 'float16' : 'float32')),
  );
  const responses = await connect(tensors);
  expect(responses).toHaveLength(names.length);
  for (const [at, name] of names.entries()) {
    expect(relativeError(visualTokens(responses[at]), await goldenTensor(`${name}.visual_tokens`)), name).toBeLessThan(
      tolerance,
    );
  }
});

test('a tensor may come in any number of parts, between two that come whole', async () => {
  const [apple, cat] = [await goldenTensor('apple.features'), await goldenTensor('cat.features')];
  const { data, ...first } = onePart(cat, 'float32');
  const cut = Array.from({ length: Math.ceil(data.length / 5000) }, (_, at): TensorPart => {
    const piece = { data: data.subarray(at * 5000, (at + 1) * 5000), last: (at + 1) * 5000 >= data.length };
    return at === 0 ? { ...first, ...piece } : { dataType: DataType.UNSPECIFIED, shape: [], ...piece };
  });
  const responses = await connect([onePart(apple, 'float16'), ...cut, onePart(apple, 'float16')]);
  const names = ['apple', 'cat', 'apple'];
  for (const [at, name] of names.entries()) {
    const expected = await goldenTensor(`${name}.visual_tokens`);
    expect(relativeError(visualTokens(responses[at]), expected), name).toBeLessThan(tolerance);
  }
  await expect(connect(cut.slice(0, 2))).rejects.toMatchObject({ code: 'TENSOR_INVALID', field: 'features.last' });
});

test.each<[string, () => TensorPart | undefined]>([
  ['no tensor', () => undefined],
  [
    'another shape',
    () => ({ dataType: DataType.FLOAT16, shape: [36, 128], data: Buffer.alloc(36 * 128 * 2), last: true }),
  ],
  ['too few bytes', () => ({ dataType: DataType.FLOAT16, shape: [36, 256], data: Buffer.alloc(100), last: true })],
  [
    'a shape beyond all memory',
    () => ({ dataType: DataType.FLOAT32, shape: [4e9, 4e9], data: Buffer.alloc(8), last: true }),
  ],
  [
    'no data type',
    () => ({ dataType: DataType.UNSPECIFIED, shape: [36, 256], data: Buffer.alloc(36 * 256 * 2), last: true }),
  ],
])('refuses %s, and answers the next call', async (_, message) => {
  await expect(connect([message()])).rejects.toMatchObject({
    code: 'TENSOR_INVALID',
    field: expect.stringMatching(/^features\b/),
  });
  await expectRight();
});

test('a message over the limit of the connection is refused by its name', async () => {
  const large = { dataType: DataType.FLOAT32, shape: [2048, 1024], data: Buffer.alloc(8 * 1024 * 1024), last: true };
  const sender = createClient(ConnectorServiceDefinition, service.grpcAddress, { maxMessageBytes: 16 * 1024 * 1024 });
  const responses = sender.connect(sent([large]));
  await expect(responses[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' });
  sender.close();
  await expectRight();
});

test('a deadline of 1 ms ends the call by its name, and the next is right', async () => {
  const tile = onePart(await goldenTensor('apple.features'), 'float16');
  await expect(connect([tile], { timeoutMs: 1 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  await expectRight();
});

test('a client that leaves half-way is forgotten', async () => {
  const tile = onePart(await goldenTensor('apple.features'), 'float16');
  const leaving = new AbortController();
  async function* open(): AsyncGenerator<ConnectRequest> {
    yield { features: tile };
    await new Promise((resolve) => leaving.signal.addEventListener('abort', resolve));
  }
  const responses = client.connect(open(), { signal: leaving.signal })[Symbol.asyncIterator]();
  expect((await responses.next()).done).toBe(false);
  leaving.abort();
  await expect(responses.next()).rejects.toMatchObject({ code: 'CANCELLED' });
  const running = () => metricValues(service.metrics, 'tessera_grpc_requests_running');
  const openCalls = async () => (await running()).find(({ labels }) => labels.method === 'Connect')?.value ?? 0;
  await eventually(async () => (await openCalls()) === 0, 'the call is let go');
  await expectRight();
});

test('a drain answers what was received, then ends an open stream by its name', async () => {
  const draining = await start();
  const other = createClient(ConnectorServiceDefinition, draining.grpcAddress);
  const tile = onePart(await goldenTensor('apple.features'), 'float16');
  const { promise: closed, resolve: close } = deferred();
  async function* open(): AsyncGenerator<ConnectRequest> {
    yield { features: tile };
    await closed;
  }
  const responses = other.connect(open())[Symbol.asyncIterator]();
  expect((await responses.next()).done).toBe(false);
  const stopped = draining.stop();
  await expect(responses.next()).rejects.toMatchObject({ code: 'DRAINING' });
  await stopped;
  close();
  other.close();
});

test('a caller that has its answers and sends nothing more loses its place', async () => {
  const impatient = await start({ 'requests.maxPauseMs': 200 });
  const other = createClient(ConnectorServiceDefinition, impatient.grpcAddress);
  const tile = onePart(await goldenTensor('apple.features'), 'float16');
  let close: () => void = () => {};
  const closed = new Promise<void>((resolve) => {
    close = resolve;
  });
  async function* open(): AsyncGenerator<ConnectRequest> {
    yield { features: tile };
    await closed;
  }
  const responses = other.connect(open())[Symbol.asyncIterator]();
  expect((await responses.next()).done).toBe(false);
  await expect(responses.next()).rejects.toMatchObject({ code: 'REQUEST_STALLED' });
  close();
  other.close();
  await impatient.stop();
});
