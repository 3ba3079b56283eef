import { demoBundle, goldenTensor } from '@tessera/compiler/testing/demo-model';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import {
  DataType,
  type DrawRequest,
  type DrawResponse,
  encodeTensorParts,
  type Float32Tensor,
  GeneratorServiceDefinition,
  type TensorPart,
  tensor,
} from '@tessera/protocol';
import { createClient, startService, type TesseraClient } from '@tessera/service';
import { metricValues } from '@tessera/service/testing/metric-values';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generator } from './start.js';

let nats: NatsServer;
let dir: string;
let condition: Float32Tensor;
let service: Awaited<ReturnType<typeof startService>>;
let client: TesseraClient<typeof GeneratorServiceDefinition>;

const start = (settings: { 'requests.maxPauseMs'?: number } = {}) =>
  startService(generator, { 'model.dir': dir, 'nats.url': nats.url, 'log.level': 'silent', ...settings });

beforeAll(async () => {
  dir = (await demoBundle()).dir;
  condition = await goldenTensor('text.3.condition');
  nats = await startNatsServer();
  service = await start();
  client = createClient(GeneratorServiceDefinition, service.grpcAddress);
});

afterAll(async () => {
  client.close();
  await service.stop();
  await nats.stop();
});

type Part = Parameters<typeof TensorPart.fromPartial>[0];
type Sent = Parameters<typeof DrawRequest.fromPartial>[0];

/** What a call sends: how to draw, then the condition in parts. */
async function* request(changes: object = {}, parts?: readonly Part[]): AsyncGenerator<Sent> {
  yield { body: { $case: 'start', value: { options: { steps: 2, seed: 3n, ...changes } } } };
  for (const value of parts ?? encodeTensorParts(condition, 'float16')) yield { body: { $case: 'condition', value } };
}

async function* messages(...bodies: Sent['body'][]): AsyncGenerator<Sent> {
  for (const body of bodies) yield { body };
}

async function collect(responses: AsyncIterable<DrawResponse>) {
  const steps: number[] = [];
  const data: Uint8Array[] = [];
  for await (const { event } of responses) {
    if (event?.$case === 'progress') steps.push(event.value.step);
    if (event?.$case === 'picturePart') data.push(event.value.data);
  }
  return { steps, file: Buffer.concat(data) };
}

async function openCalls({ metrics }: typeof service): Promise<number> {
  const running = await metricValues(metrics, 'tessera_grpc_requests_running');
  return running.find(({ labels }) => labels.method === 'Draw')?.value ?? 0;
}

async function expectRight(): Promise<void> {
  const { steps, file } = await collect(client.draw(request()));
  expect(steps).toEqual([1, 2]);
  expect(file.subarray(1, 4).toString()).toBe('PNG');
}

test('says what it holds', async () => {
  expect(await client.describe({})).toMatchObject({
    height: 96,
    width: 96,
    conditionLength: 16,
    conditionWidth: 256,
    defaultSteps: 20,
    defaultGuidance: 1.5,
    maxSteps: 200,
  });
});

test('draws: progress each step, then the file; a seed gives the same file again, no seed another one', async () => {
  await expectRight();
  const [one, again, other, unseeded, unseededAgain] = await Promise.all(
    [{}, {}, { seed: 4n }, { seed: undefined }, { seed: undefined }].map((changes) =>
      collect(client.draw(request(changes))),
    ),
  );
  expect(again?.file).toEqual(one?.file);
  expect(other?.file).not.toEqual(one?.file);
  expect(unseeded?.file).not.toEqual(unseededAgain?.file);
});

test.each<[string, string, string, () => AsyncIterable<Sent>]>([
  ['too many steps', 'REQUEST_INVALID', 'start.options.steps', () => request({ steps: 201 })],
  ['no steps', 'REQUEST_INVALID', 'start.options.steps', () => request({ steps: 0 })],
  ['too much guidance', 'REQUEST_INVALID', 'start.options.guidance', () => request({ guidance: 21 })],
  ['no condition', 'TENSOR_INVALID', 'condition.last', () => request({}, [])],
  ['a stream without anything', 'TENSOR_INVALID', 'condition.last', () => messages()],
  ['a condition before the start', 'REQUEST_INVALID', 'start', () => messages({ $case: 'condition', value: {} })],
  [
    'a second start',
    'REQUEST_INVALID',
    'condition',
    () => messages({ $case: 'start', value: {} }, { $case: 'start', value: {} }),
  ],
  [
    'too many rows',
    'TENSOR_INVALID',
    'condition',
    () => request({}, [...encodeTensorParts(tensor('float32', [17, 256], new Float32Array(17 * 256)), 'float16')]),
  ],
  [
    'too few bytes',
    'TENSOR_INVALID',
    'condition',
    () => request({}, [{ dataType: DataType.FLOAT32, shape: [16, 256], data: Buffer.alloc(4), last: true }]),
  ],
])('refuses %s, and answers the next call', async (_, code, field, bad) => {
  await expect(collect(client.draw(bad()))).rejects.toMatchObject({ code, field });
  await expectRight();
});

test('a deadline ends a drawing by its name, at once or in its middle, and the next is right', async () => {
  await expect(collect(client.draw(request({ steps: 200 }), { timeoutMs: 1 }))).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
  });
  await expect(collect(client.draw(request({ steps: 200 }), { timeoutMs: 300 }))).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
  });
  await expectRight();
});

test('a client that leaves half-way stops its drawing', async () => {
  const steps = async () => (await metricValues(service.metrics, 'tessera_denoise_steps_total'))[0]?.value ?? 0;
  const before = await steps();
  const leaving = new AbortController();
  const responses = client
    .draw(request({ steps: 200 }), { signal: leaving.signal, timeoutMs: 600_000 })
    [Symbol.asyncIterator]();
  expect((await responses.next()).value?.event?.$case).toBe('progress');
  leaving.abort();
  await expect(responses.next()).rejects.toMatchObject({ code: 'CANCELLED' });
  await eventually(async () => (await openCalls(service)) === 0, 'the call is let go');
  await expectRight();
  expect((await steps()) - before).toBeLessThan(200);
});

test('a drain lets an open drawing end', async () => {
  const draining = await start();
  const other = createClient(GeneratorServiceDefinition, draining.grpcAddress);
  const responses = other.draw(request({ steps: 5 }))[Symbol.asyncIterator]();
  await responses.next();
  const stopped = draining.stop();
  const { file } = await collect({ [Symbol.asyncIterator]: () => responses });
  expect(file.subarray(1, 4).toString()).toBe('PNG');
  await stopped;
  other.close();
});

/** Says how to draw, and then nothing until it is told to end. */
async function* silent(end: Promise<unknown>): AsyncGenerator<Sent> {
  yield { body: { $case: 'start', value: { options: { steps: 2 } } } };
  await end;
}

test.each<[string, string, { 'requests.maxPauseMs'?: number }]>([
  ['loses its place', 'REQUEST_STALLED', { 'requests.maxPauseMs': 200 }],
  ['does not hold up a drain', 'DRAINING', {}],
])('a caller that begins and says nothing more %s', async (_, code, settings) => {
  const own = await start(settings);
  const other = createClient(GeneratorServiceDefinition, own.grpcAddress);
  let close: () => void = () => {};
  const closed = new Promise<void>((resolve) => {
    close = resolve;
  });
  const ended = collect(other.draw(silent(closed))).catch((reason: unknown) => reason);
  if (code === 'DRAINING') {
    await eventually(async () => (await openCalls(own)) === 1, 'the call is open');
    await own.stop();
  }
  expect(await ended).toMatchObject({ code });
  close();
  other.close();
  await own.stop();
});
