import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers } from '@nats-io/transport-node';
import { encodeTensor, TensorPart, TesseraError } from '@tessera/protocol';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Cleanup, counted, eventually, inAMinute, jobKey, newId, take } from './bus-test-support.js';
import { type NatsServer, startNatsServer } from './nats-server.js';

let server: NatsServer;
const cleanup = new Cleanup();
const timing = { stage: 'encoder', queueMs: 1, busyMs: 2, endedAtMs: 3 };
const timings = [timing];

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

async function raw() {
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  return { js: jetstream(nc), jsm: await jetstreamManager(nc) };
}

/** A part as a faulty or slow stage might send it, without a message id. */
async function publishPart(prefix: string, part: Partial<TensorPart>, subjectPart = part.part): Promise<void> {
  const { js } = await raw();
  const message = { key: jobKey('a'), tile: 0, part: 0, parts: 2, rows: undefined, timings: [], ...part };
  await js.publish(`${prefix}.tokens.r1.a.0.${message.tile}.${subjectPart}`, TensorPart.encode(message).finish(), {
    headers: headers(),
  });
}

test('tiles arrive as they become complete, with their timings', async () => {
  const bus = await cleanup.bus(server.url);
  const reading = take(bus.tokens('a', cleanup.signal()), 2);
  await bus.publishTensor('tokens', jobKey('a'), 0, counted(4, 8), { deadlineMs: inAMinute(), timings });
  await bus.publishTensor('tokens', jobKey('a', 1, 1), 3, counted(2, 8, 50), { deadlineMs: inAMinute(), timings });
  expect(await reading).toMatchObject([
    { kind: 'tile', item: 0, tile: 0, attempt: 1, tokens: counted(4, 8), timings },
    { kind: 'tile', item: 1, tile: 3, attempt: 1, tokens: counted(2, 8, 50), timings },
  ]);
});

test('a tensor over the part limit travels in parts', async () => {
  const bus = await cleanup.bus(server.url);
  const large = counted(1500, 512);
  await bus.publishTensor('tokens', jobKey('a'), 0, large, { deadlineMs: inAMinute(), timings });
  const [tile] = await take(bus.tokens('a', cleanup.signal()), 1);
  expect(tile).toMatchObject({ kind: 'tile', timings });
  expect(tile?.kind === 'tile' && tile.tokens.shape).toEqual([1500, 512]);
  expect(tile?.kind === 'tile' && Buffer.compare(bytesOf(tile.tokens.data), bytesOf(large.data))).toBe(0);
});

test('an engine that takes a request over gets every tile again', async () => {
  const prefix = newId('t');
  const [first, second] = await Promise.all([cleanup.bus(server.url, { prefix }), cleanup.bus(server.url, { prefix })]);
  for (let tile = 0; tile < 5; tile++) {
    await first.publishTensor('tokens', jobKey('a'), tile, counted(2, 8, tile), { deadlineMs: inAMinute(), timings });
  }
  const firstEngine = await take(first.tokens('a', cleanup.signal()), 3);
  const secondEngine = await take(second.tokens('a', cleanup.signal()), 5);
  expect(firstEngine.map((event) => event.tile)).toEqual([0, 1, 2]);
  expect(secondEngine.map((event) => event.tile)).toEqual([0, 1, 2, 3, 4]);
});

test('duplicates, disorder, corrupt parts and mixed attempts give each tile once and right', async () => {
  const prefix = newId('t');
  const drops: string[] = [];
  const bus = await cleanup.bus(server.url, { prefix, observer: { dropped: (_kind, reason) => drops.push(reason) } });
  const rows = (offset: number) => encodeTensor(counted(1, 8, offset), 'float16');
  await publishPart(prefix, { part: 1, rows: rows(8) });
  await publishPart(prefix, { part: 1, rows: rows(8) });
  await publishPart(prefix, { part: 0, rows: { ...rows(0), shape: [2, 8] } });
  await publishPart(prefix, { part: 0, rows: rows(0) }, 1);
  await publishPart(prefix, { key: jobKey('a', 2), part: 0, rows: rows(100) });
  await publishPart(prefix, { part: 0, rows: rows(0), timings });
  await publishPart(prefix, { key: jobKey('a', 2), part: 1, rows: rows(108) });
  await publishPart(prefix, { tile: 1, part: 0, parts: 1, rows: rows(5) });
  const events = await take(bus.tokens('a', cleanup.signal()), 2);
  expect(events).toMatchObject([
    { tile: 0, attempt: 1, tokens: counted(2, 8) },
    { tile: 1, attempt: 1, tokens: counted(1, 8, 5) },
  ]);
  expect(drops).toEqual(['duplicate', 'corrupt', 'corrupt', 'duplicate']);
});

test('a connector that does its tile twice stores it once', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  for (let i = 0; i < 2; i++) {
    await bus.publishTensor('tokens', jobKey('a'), 0, counted(2, 8), { deadlineMs: inAMinute(), timings });
  }
  const { jsm } = await raw();
  expect((await jsm.streams.info(`${prefix}_tokens`)).state.messages).toBe(1);
});

test('a failure is told once, and not when the tile came from another attempt before', async () => {
  const bus = await cleanup.bus(server.url);
  const options = { deadlineMs: inAMinute() };
  const error = new TesseraError('TENSOR_INVALID', 'odd');
  await bus.publishFailure('connect', jobKey('a'), 1, error, options);
  await bus.publishFailure('connect', jobKey('a'), 1, error, options);
  await bus.publishTensor('tokens', jobKey('a', 2), 1, counted(2, 8), { ...options, timings });
  await bus.publishFailure('connect', jobKey('a', 3), 1, error, options);
  await bus.publishTensor('tokens', jobKey('a'), 2, counted(2, 8), { ...options, timings });
  expect(await take(bus.tokens('a', cleanup.signal()), 3)).toMatchObject([
    { kind: 'failure', tile: 1, attempt: 1, code: 'TENSOR_INVALID', message: 'odd', stage: 'connector' },
    { kind: 'tile', tile: 1, attempt: 2 },
    { kind: 'tile', tile: 2 },
  ]);
  const fromSecond = await take(bus.tokens('a', cleanup.signal(), { fromAttempt: 2 }), 2);
  expect(fromSecond.map(({ kind }) => kind)).toEqual(['tile', 'tile']);
});

test('reading ends with the signal and leaves no consumer behind', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const { jsm } = await raw();
  const consumers = async () => (await jsm.streams.info(`${prefix}_tokens`)).state.consumer_count;
  await bus.publishTensor('tokens', jobKey('a'), 0, counted(2, 8), { deadlineMs: inAMinute(), timings });

  const controller = new AbortController();
  const tiles: unknown[] = [];
  const reading = (async () => {
    for await (const tile of bus.tokens('a', controller.signal)) tiles.push(tile);
  })();
  // The consumer is there before its first message is: only the tile says that it reads.
  await eventually(async () => tiles.length === 1, 'a tile is read');
  expect(await consumers()).toBe(1);
  controller.abort();
  await reading;
  expect(tiles).toHaveLength(1);

  await take(bus.tokens('a', cleanup.signal()), 1);
  await expect(
    (async () => {
      for await (const _ of bus.tokens('a', cleanup.signal())) throw new Error('the reader fails');
    })(),
  ).rejects.toThrow('the reader fails');
  expect(await take(bus.tokens('a', AbortSignal.abort()), 1)).toEqual([]);
  await eventually(async () => (await consumers()) === 0, 'every consumer is gone');
});

test('the end of one request takes nothing from the readers of others', async () => {
  const bus = await cleanup.bus(server.url);
  const options = { deadlineMs: inAMinute(), timings };
  const reading = take(bus.tokens('b', cleanup.signal()), 20);
  for (let tile = 0; tile < 20; tile++) {
    await bus.publishTensor('tokens', jobKey('a'), tile, counted(1, 8), options);
    await bus.publishTensor('tokens', jobKey('b'), tile, counted(1, 8), options);
    await bus.finish(tile % 2 === 0 ? 'a' : 'nobody');
  }
  expect((await reading).map((event) => event.tile)).toEqual(Array.from({ length: 20 }, (_, tile) => tile));
});

test('a consumer that is deleted under a reader is made again', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const { jsm } = await raw();
  const reading = take(bus.tokens('a', cleanup.signal()), 1);
  const stream = `${prefix}_tokens`;
  await eventually(async () => (await jsm.streams.info(stream)).state.consumer_count === 1, 'a consumer reads');
  for (const { name } of await jsm.consumers.list(stream).next()) await jsm.consumers.delete(stream, name);
  await bus.publishTensor('tokens', jobKey('a'), 0, counted(2, 8), { deadlineMs: inAMinute(), timings });
  expect(await reading).toMatchObject([{ tile: 0 }]);
});

test('features ride in the job when small, else in parts, and are read back', async () => {
  const bus = await cleanup.bus(server.url);
  const signal = cleanup.signal();
  const options = { deadlineMs: inAMinute() };
  const small = await bus.featuresRef(jobKey('a'), 0, counted(4, 8), options);
  expect(small.place?.$case).toBe('inline');
  expect(await bus.readFeatures(jobKey('a'), 0, small, signal)).toEqual(counted(4, 8));
  const large = counted(1500, 512);
  const reference = await bus.featuresRef(jobKey('a'), 1, large, options);
  expect(reference.place).toEqual({ $case: 'parts', value: 3 });
  const read = await bus.readFeatures(jobKey('a'), 1, reference, signal);
  expect(read.shape).toEqual([1500, 512]);
  expect(Buffer.compare(bytesOf(read.data), bytesOf(large.data))).toBe(0);
});

test('features of the attempt that the job names are read, whatever else lies there', async () => {
  const bus = await cleanup.bus(server.url, { limits: { partBytes: 64 } });
  const signal = cleanup.signal();
  const options = { deadlineMs: inAMinute() };
  const first = await bus.featuresRef(jobKey('a', 1), 0, counted(8, 8), options);
  const second = await bus.featuresRef(jobKey('a', 2), 0, counted(8, 8, 100), options);
  expect(await bus.readFeatures(jobKey('a', 1), 0, first, signal)).toEqual(counted(8, 8));
  expect(await bus.readFeatures(jobKey('a', 2), 0, second, signal)).toEqual(counted(8, 8, 100));
});

test('features that are gone are an error that a retry may mend', async () => {
  const bus = await cleanup.bus(server.url, { limits: { partBytes: 64 } });
  const reference = await bus.featuresRef(jobKey('a'), 0, counted(8, 8), { deadlineMs: inAMinute() });
  await bus.finish('a');
  const error = await bus.readFeatures(jobKey('a'), 0, reference, cleanup.signal()).catch((reason) => reason);
  expect(error).toMatchObject({ code: 'STAGE_UNAVAILABLE', retryable: true });
});

test('tensors over the limits are refused where they are made', async () => {
  const bus = await cleanup.bus(server.url, { limits: { partBytes: 64, maxTensorBytes: 1024 } });
  const options = { deadlineMs: inAMinute(), timings };
  await expect(bus.publishTensor('tokens', jobKey('a'), 0, counted(2, 40), options)).rejects.toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
    message: expect.stringContaining('64 bytes'),
  });
  await expect(bus.publishTensor('tokens', jobKey('a'), 0, counted(100, 8), options)).rejects.toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
    message: expect.stringContaining('1024 bytes'),
  });
});

function bytesOf(data: Float32Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
