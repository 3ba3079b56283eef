import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers } from '@nats-io/transport-node';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import {
  connectQueue,
  encodeQueue,
  encodeTensor,
  Failure,
  failurePart,
  Modality,
  maxBytesOf,
  Subjects,
  TesseraError,
  VisualTokenRows,
  visualTokens,
} from '@tessera/protocol';
import { take } from '@tessera/testing/async/collect';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { counted, inAMinute, jobKey, nobody, sendTokens } from '../testing/messages.js';
import { Cleanup, newId } from '../testing/test-bus.js';

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

/** How many messages lie on the stream of tokens. */
async function lying(prefix: string): Promise<number> {
  const { jsm } = await raw();
  return (await jsm.streams.info(`${prefix}_v2_tokens_0`)).state.messages;
}

async function engine(options: Parameters<Cleanup['bus']>[1] = {}) {
  const prefix = options?.prefix ?? newId('t');
  const bus = await cleanup.bus(server.url, { ...options, prefix });
  const inbox = await bus.openInbox(visualTokens);
  const to = (more = {}) => ({ deadlineMs: inAMinute(), deliverTo: inbox.address, timings, ...more });
  return { bus, inbox, prefix, to };
}

/** A part as a faulty or slow stage might send it, without a message id. */
async function publishPart(
  prefix: string,
  address: string,
  part: Partial<VisualTokenRows>,
  subjectPart = part.part ?? 0,
): Promise<void> {
  const { js } = await raw();
  const message = { key: jobKey('a'), tile: 0, part: 0, parts: 2, rows: undefined, timings: [], ...part };
  const at = { requestId: 'a', item: 0, tile: message.tile, part: subjectPart };
  const subject = new Subjects(prefix, 'r1').product(visualTokens, address, at);
  await js.publish(subject, VisualTokenRows.encode(message).finish(), { headers: headers() });
}

test('tiles arrive as they become complete, with their timings, and leave the stream', async () => {
  const { bus, inbox, prefix, to } = await engine();
  const reading = take(inbox.receive('a', cleanup.signal()), 2);
  await sendTokens(bus, jobKey('a'), 0, counted(4, 8), to());
  await sendTokens(bus, jobKey('a', 1, 1), 3, counted(2, 8, 50), to());
  expect(await reading).toMatchObject([
    { kind: 'tensor', item: 0, tile: 0, attempt: 1, tensor: counted(4, 8), timings },
    { kind: 'tensor', item: 1, tile: 3, attempt: 1, tensor: counted(2, 8, 50), timings },
  ]);
  await eventually(async () => (await lying(prefix)) === 0, 'nothing is left');
});

test('many requests share one consumer, and each gets its own', async () => {
  const { bus, inbox, prefix, to } = await engine();
  const { jsm } = await raw();
  const requests = Array.from({ length: 40 }, (_, index) => `r${index}`);
  const readings = requests.map((id) => take(inbox.receive(id, cleanup.signal()), 2));
  await Promise.all(
    requests.flatMap((id, index) =>
      [0, 1].map((tile) => sendTokens(bus, jobKey(id), tile, counted(1, 8, index * 2 + tile), to())),
    ),
  );
  expect((await jsm.streams.info(`${prefix}_v2_tokens_0`)).state.consumer_count).toBe(1);
  for (const [index, reading] of readings.entries()) {
    const tiles = (await reading).toSorted((one, other) => one.tile - other.tile);
    expect(tiles).toMatchObject([0, 1].map((tile) => ({ tile, tensor: counted(1, 8, index * 2 + tile) })));
  }
  await eventually(async () => (await lying(prefix)) === 0, 'nothing is left');
});

test('a tensor over the part limit travels in parts, whatever the size of a part at either side', async () => {
  const prefix = newId('t');
  const { inbox, to } = await engine({ prefix, limits: { partBytes: 512 * 1024 } });
  const connector = await cleanup.bus(server.url, { prefix, limits: { partBytes: 1024 } });
  const large = counted(1500, 512);
  const reading = take(inbox.receive('a', cleanup.signal()), 1);
  await sendTokens(connector, jobKey('a'), 0, large, to());
  const [tile] = await reading;
  expect(tile).toMatchObject({ kind: 'tensor', timings });
  expect(tile?.kind === 'tensor' && tile.tensor.shape).toEqual([1500, 512]);
  expect(tile?.kind === 'tensor' && Buffer.compare(bytesOf(tile.tensor.data), bytesOf(large.data))).toBe(0);
});

test('what comes before its request is open waits for it; what comes after its end is thrown away', async () => {
  const dropped: string[] = [];
  const observer = { dropped: (_kind: string, reason: string) => dropped.push(reason) };
  const { bus, inbox, prefix, to } = await engine({ observer });
  await sendTokens(bus, jobKey('a'), 0, counted(1, 8), to());
  await sendTokens(bus, jobKey('b'), 0, counted(1, 8, 9), to());
  const [tile] = await take(inbox.receive('a', cleanup.signal()), 1);
  expect(tile).toMatchObject({ tile: 0, tensor: counted(1, 8) });
  // `take` left, so the request has ended.
  await sendTokens(bus, jobKey('a'), 1, counted(1, 8), to());
  await eventually(() => dropped.length === 1, 'the late one is thrown away');
  expect(dropped).toEqual(['stale']);
  // That of the request which is not open yet is still there.
  expect(await lying(prefix)).toBe(1);
  expect(await take(inbox.receive('b', cleanup.signal()), 1)).toMatchObject([{ tensor: counted(1, 8, 9) }]);
  await eventually(async () => (await lying(prefix)) === 0, 'nothing is left');
});

test('duplicates, disorder, corrupt parts and mixed attempts give each tile once and right', async () => {
  const drops: string[] = [];
  const observer = { dropped: (_kind: string, reason: string) => drops.push(reason) };
  const { inbox, prefix } = await engine({ observer });
  const rows = (offset: number) => encodeTensor(counted(1, 8, offset), 'float16');
  const publish = (part: Partial<VisualTokenRows>, subjectPart?: number) =>
    publishPart(prefix, inbox.address, part, subjectPart);
  const reading = take(inbox.receive('a', cleanup.signal()), 2);
  await publish({ part: 1, rows: rows(8) });
  await publish({ part: 1, rows: rows(8) });
  await publish({ part: 0, rows: { ...rows(0), shape: [2, 8] } });
  await publish({ part: 0, rows: rows(0) }, 1);
  await publish({ key: jobKey('a', 2), part: 0, rows: rows(100) });
  await publish({ part: 0, rows: rows(0), timings });
  await publish({ key: jobKey('a', 2), part: 1, rows: rows(108) });
  await publish({ tile: 1, part: 0, parts: 1, rows: rows(5) });
  expect(await reading).toMatchObject([
    { tile: 0, attempt: 1, tensor: counted(2, 8) },
    { tile: 1, attempt: 1, tensor: counted(1, 8, 5) },
  ]);
  expect(drops).toEqual(['duplicate', 'corrupt', 'corrupt', 'duplicate']);
});

test('a connector that does its tile twice stores it once', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  for (let i = 0; i < 2; i++) {
    await sendTokens(bus, jobKey('a'), 0, counted(2, 8), { deadlineMs: inAMinute(), deliverTo: nobody, timings });
  }
  expect(await lying(prefix)).toBe(1);
});

test('a failure is told once, and not when the tile came from another attempt before', async () => {
  const { bus, inbox, to } = await engine();
  const error = new TesseraError('TENSOR_INVALID', 'odd');
  const reading = take(inbox.receive('a', cleanup.signal()), 3);
  await bus.publishFailure(connectQueue, jobKey('a'), 1, error, to());
  await bus.publishFailure(connectQueue, jobKey('a'), 1, error, to());
  await sendTokens(bus, jobKey('a', 2), 1, counted(2, 8), to());
  await bus.publishFailure(connectQueue, jobKey('a', 3), 1, error, to());
  await sendTokens(bus, jobKey('a'), 2, counted(2, 8), to());
  expect(await reading).toMatchObject([
    { kind: 'failure', tile: 1, attempt: 1, code: 'TENSOR_INVALID', message: 'odd', stage: 'connector' },
    { kind: 'tensor', tile: 1, attempt: 2 },
    { kind: 'tensor', tile: 2 },
  ]);
});

test('of each attempt and stage a failure is told once, however often it comes', async () => {
  const { inbox, prefix } = await engine();
  const { js } = await raw();
  const reading = take(inbox.receive('a', cleanup.signal()), 5);
  /** Without an id of the message, as after the server has forgotten it. */
  const fail = async (tile: number, attempt = 1, stage = 'connector') => {
    const at = { requestId: 'a', item: 0, tile, part: failurePart } as const;
    const failure = { key: jobKey('a', attempt), code: 'TENSOR_INVALID', message: 'odd', stage };
    const subject = new Subjects(prefix, 'r1').product(visualTokens, inbox.address, at);
    await js.publish(subject, Failure.encode(failure).finish());
  };
  for (let copy = 0; copy < 2; copy++) {
    await fail(1);
    await fail(2);
    await fail(1, 2);
    await fail(1, 1, 'encoder');
  }
  await fail(3);
  expect(
    (await reading).map((failure) => 'stage' in failure && [failure.tile, failure.attempt, failure.stage]),
  ).toEqual([
    [1, 1, 'connector'],
    [2, 1, 'connector'],
    [1, 2, 'connector'],
    [1, 1, 'encoder'],
    [3, 1, 'connector'],
  ]);
});

test('a failure that is not of the request to which it was sent is counted as corrupt, and told to nobody', async () => {
  const drops: string[] = [];
  const observer = { dropped: (_kind: string, reason: string) => drops.push(reason) };
  const { bus, inbox, prefix, to } = await engine({ observer });
  const { js } = await raw();
  const at = { requestId: 'a', item: 0, tile: 1, part: failurePart } as const;
  const subject = new Subjects(prefix, 'r1').product(visualTokens, inbox.address, at);
  const failure = { code: 'TENSOR_INVALID', message: 'odd', stage: 'connector' };
  const reading = take(inbox.receive('a', cleanup.signal()), 1);
  for (const key of [undefined, jobKey('b'), jobKey('a', 1, 1)]) {
    await js.publish(subject, Failure.encode({ ...failure, key }).finish());
  }
  await js.publish(subject, Uint8Array.of(255, 255));
  await bus.publishFailure(connectQueue, jobKey('a'), 1, new TesseraError('TENSOR_INVALID', 'this one'), to());
  expect(await reading).toMatchObject([{ kind: 'failure', tile: 1, message: 'this one' }]);
  expect(drops).toEqual(['corrupt', 'corrupt', 'corrupt', 'corrupt']);
});

test('the failure of an old attempt ends a newer one only if it cannot get better', async () => {
  const { bus, inbox, to } = await engine();
  const reading = take(inbox.receive('a', cleanup.signal(), { fromAttempt: 2 }), 2);
  const fail = (attempt: number, tile: number, error: TesseraError) =>
    bus.publishFailure(connectQueue, jobKey('a', attempt), tile, error, to());
  await fail(1, 0, new TesseraError('DELIVERY_EXHAUSTED', 'four workers died'));
  await fail(1, 1, new TesseraError('STAGE_UNAVAILABLE', 'away'));
  await fail(1, 2, new TesseraError('MEDIA_CORRUPT', 'cut'));
  await fail(2, 3, new TesseraError('DELIVERY_EXHAUSTED', 'four workers died'));
  expect(await reading).toMatchObject([
    { attempt: 1, code: 'MEDIA_CORRUPT' },
    { attempt: 2, code: 'DELIVERY_EXHAUSTED' },
  ]);
});

test('receiving ends with the signal, and a closed inbox leaves neither consumer nor messages', async () => {
  const { bus, inbox, prefix, to } = await engine();
  const { jsm } = await raw();
  const controller = new AbortController();
  const reading = take(inbox.receive('a', controller.signal), 1);
  expect(inbox.size).toBe(1);
  controller.abort();
  expect(await reading).toEqual([]);
  await expect(
    (async () => {
      const news = inbox.receive('b', cleanup.signal());
      await sendTokens(bus, jobKey('b'), 0, counted(2, 8), to());
      for await (const _ of news) throw new Error('the reader fails');
    })(),
  ).rejects.toThrow('the reader fails');
  expect(await take(inbox.receive('a', AbortSignal.abort()), 1)).toEqual([]);
  expect(inbox.size).toBe(0);
  await sendTokens(bus, jobKey('nobody'), 0, counted(2, 8), to());
  await inbox.close();
  const { state } = await jsm.streams.info(`${prefix}_v2_tokens_0`);
  expect(state).toMatchObject({ consumer_count: 0, messages: 0 });
});

test('a consumer that is deleted under its inbox is made again', async () => {
  const { bus, inbox, prefix, to } = await engine();
  const { jsm } = await raw();
  const reading = take(inbox.receive('a', cleanup.signal()), 1);
  await jsm.consumers.delete(`${prefix}_v2_tokens_0`, inbox.address);
  await sendTokens(bus, jobKey('a'), 0, counted(2, 8), to());
  expect(await reading).toMatchObject([{ tile: 0 }]);
});

test('a stream that is deleted under its inbox is made again, before anybody sends', async () => {
  const { bus, inbox, prefix, to } = await engine();
  const { jsm } = await raw();
  const reading = take(inbox.receive('a', cleanup.signal()), 1);
  await jsm.streams.delete(`${prefix}_v2_tokens_0`);
  const consumers = async () => (await jsm.streams.info(`${prefix}_v2_tokens_0`)).state.consumer_count;
  await eventually(async () => (await consumers().catch(() => 0)) === 1, 'stream and consumer are there again');
  await sendTokens(bus, jobKey('a'), 0, counted(2, 8), to());
  expect(await reading).toMatchObject([{ tile: 0 }]);
});

test('a full stream makes its maker wait until its reader has made room', async () => {
  const full: string[] = [];
  const observer = { queueFull: (kind: string) => full.push(kind) };
  const maxBytes = { ...maxBytesOf(() => 1e6), visual_tokens: 60_000 };
  const { bus, inbox, prefix, to } = await engine({ observer, limits: { maxBytes, partBytes: 16_000 } });
  // Nobody listens to this one: what is sent there fills the stream.
  const elsewhere = to({ deliverTo: nobody });
  for (let tile = 0; tile < 3; tile++) await sendTokens(bus, jobKey('x'), tile, counted(60, 128), elsewhere);
  const sent: number[] = [];
  const sending = [0, 1, 2, 3].map(async (tile) => {
    await sendTokens(bus, jobKey('a'), tile, counted(60, 128), to());
    sent.push(tile);
  });
  await eventually(() => full.length === 4, 'the stream refuses, and all four wait');
  expect(sent).toEqual([]);
  const { jsm } = await raw();
  await jsm.streams.purge(`${prefix}_v2_tokens_0`);
  const tiles = await take(inbox.receive('a', cleanup.signal()), 4);
  await Promise.all(sending);
  expect(tiles.map(({ tile }) => tile).toSorted()).toEqual([0, 1, 2, 3]);
});

test('features ride in the job when small, else in parts that are gone when they were taken', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const { jsm } = await raw();
  const parts = async () => (await jsm.streams.info(`${prefix}_v2_parts_0`)).state.messages;
  const signal = cleanup.signal();
  const options = { deadlineMs: inAMinute() };
  const small = await bus.storeTensor(jobKey('a'), 0, counted(4, 8), options);
  expect(small.stored).toBeUndefined();
  expect((await bus.takeTensor(small, signal)).tensor).toEqual(counted(4, 8));
  const large = counted(1500, 512);
  const reference = await bus.storeTensor(jobKey('a'), 1, large, options);
  expect(reference.stored?.sequences).toHaveLength(3);
  // A job that is done twice stores its features once.
  expect(await bus.storeTensor(jobKey('a'), 1, large, options)).toEqual(reference);
  expect(await parts()).toBe(3);
  const { tensor, taken } = await bus.takeTensor(reference, signal);
  expect(tensor.shape).toEqual([1500, 512]);
  expect(Buffer.compare(bytesOf(tensor.data), bytesOf(large.data))).toBe(0);
  expect(await parts()).toBe(3);
  await taken();
  expect(await parts()).toBe(0);
  const error = await bus.takeTensor(reference, signal).catch((reason) => reason);
  expect(error).toMatchObject({ code: 'STAGE_UNAVAILABLE', retryable: true });
});

test('features of a job that is thrown away go with it, and so does what was stored when its request ended', async () => {
  const prefix = newId('t');
  const maxBytes = { ...maxBytesOf(() => 1e6), parts: 200_000 };
  let full = 0;
  const bus = await cleanup.bus(server.url, {
    prefix,
    limits: { partBytes: 16_000, maxBytes },
    observer: { queueFull: () => full++ },
  });
  const { jsm } = await raw();
  const parts = async () => (await jsm.streams.info(`${prefix}_v2_parts_0`)).state.messages;
  const to = { deadlineMs: inAMinute(), deliverTo: nobody };
  const queue = async (requestId: string, signal?: AbortSignal) => {
    const key = jobKey(requestId);
    const features = await bus.storeTensor(key, 0, counted(128, 512), { ...to, signal });
    return await bus.publish(connectQueue, { key, tile: 0, features, encoder: undefined }, { ...to, signal });
  };
  await queue('a');
  expect(await parts()).toBe(9);
  const leaving = new AbortController();
  const stuck = queue('b', leaving.signal);
  await eventually(() => full > 0, 'there is no room for the second');
  leaving.abort();
  await expect(stuck).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(await parts()).toBe(9);
  await bus.cancel('a');
  void bus.work(connectQueue, { slots: 1, signal: cleanup.signal(), handler: async () => {} });
  await eventually(async () => (await parts()) === 0, 'they are gone with the job');
});

test('features of a job that cannot be done go with it', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix, limits: { partBytes: 16_000 } });
  const { jsm } = await raw();
  const parts = async () => (await jsm.streams.info(`${prefix}_v2_parts_0`)).state.messages;
  const to = { deadlineMs: inAMinute(), deliverTo: nobody };
  const key = jobKey('a');
  const features = await bus.storeTensor(key, 0, counted(128, 512), to);
  await bus.publish(connectQueue, { key, tile: 0, features, encoder: undefined }, to);
  expect(await parts()).toBe(9);
  void bus.work(connectQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async () => {
      throw new TesseraError('TENSOR_INVALID', 'odd');
    },
  });
  await eventually(async () => (await parts()) === 0, 'they are gone with the job');
});

test('features of a job that a full queue did not take go when nobody will try again, and stay for who will', async () => {
  const prefix = newId('t');
  let full = 0;
  const limits = { partBytes: 16_000, maxJobs: 1 };
  const observer = { queueFull: () => full++ };
  const patient = await cleanup.bus(server.url, { prefix, limits: { ...limits, queueWaitMs: 60_000 }, observer });
  const hasty = await cleanup.bus(server.url, { prefix, limits: { ...limits, queueWaitMs: 50 } });
  const { jsm } = await raw();
  const parts = async () => (await jsm.streams.info(`${prefix}_v2_parts_0`)).state.messages;
  const to = { deadlineMs: inAMinute(), deliverTo: nobody };
  const job = { tile: 0, encoder: undefined };
  await patient.publish(connectQueue, { ...job, key: jobKey('a'), features: undefined }, to);
  const features = await patient.storeTensor(jobKey('b'), 0, counted(128, 512), to);
  const refused = hasty.publish(connectQueue, { ...job, key: jobKey('b'), features }, to);
  await expect(refused).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  expect(await parts()).toBe(9);
  const leaving = new AbortController();
  const waiting = patient.publish(
    connectQueue,
    { ...job, key: jobKey('b'), features },
    { ...to, signal: leaving.signal },
  );
  await eventually(() => full > 0, 'there is no room for it');
  leaving.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(await parts()).toBe(0);
});

test('features whose number is another message by now are not taken for it', async () => {
  const bus = await cleanup.bus(server.url, { limits: { partBytes: 64 } });
  const signal = cleanup.signal();
  const options = { deadlineMs: inAMinute() };
  const first = await bus.storeTensor(jobKey('a', 1), 0, counted(8, 8), options);
  const second = await bus.storeTensor(jobKey('a', 2), 0, counted(8, 8, 100), options);
  expect((await bus.takeTensor(second, signal)).tensor).toEqual(counted(8, 8, 100));
  const stored = first.stored && { ...first.stored, sequences: second.stored?.sequences ?? [] };
  await expect(bus.takeTensor({ ...first, stored }, signal)).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  const tooFew = first.stored && { ...first.stored, sequences: first.stored.sequences.slice(0, 1) };
  await expect(bus.takeTensor({ ...first, stored: tooFew }, signal)).rejects.toMatchObject({
    code: 'TENSOR_INVALID',
  });
  const smaller = first.tensor && { ...first.tensor, shape: [7, 8] };
  await expect(bus.takeTensor({ ...first, tensor: smaller }, signal)).rejects.toMatchObject({
    code: 'TENSOR_INVALID',
  });
});

test('features in one part are taken as those in many; a job that says nothing of them, or of no part or too many, is refused', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const { js } = await raw();
  const signal = cleanup.signal();
  const encoded = encodeTensor(counted(8, 8), 'float16');
  const { seq } = await js.publish(new Subjects(prefix, 'r1').part(0, 'whole', 0), encoded.data);
  const tensor = { ...encoded, data: Buffer.alloc(0) };
  const inParts = (...sequences: number[]) => ({ shard: 0, name: 'whole', sequences: sequences.map(BigInt) });
  expect((await bus.takeTensor({ tensor, stored: inParts(seq) }, signal)).tensor).toEqual(counted(8, 8));
  for (const reference of [
    { tensor: undefined, stored: undefined },
    { tensor: undefined, stored: inParts(seq) },
    { tensor, stored: inParts() },
    // Each holds at least a byte.
    { tensor, stored: inParts(...new Array<number>(encoded.data.length + 1).fill(seq)) },
  ]) {
    await expect(bus.takeTensor(reference, signal)).rejects.toMatchObject({ code: 'TENSOR_INVALID' });
  }
  await bus.close();
  await expect(bus.takeTensor({ tensor, stored: inParts(seq) }, signal)).rejects.toMatchObject({ code: 'DRAINING' });
});

test('tensors over the limits are refused where they are made', async () => {
  const bus = await cleanup.bus(server.url, { limits: { partBytes: 64, maxTensorBytes: 1024 } });
  const options = { deadlineMs: inAMinute(), deliverTo: nobody, timings };
  await expect(sendTokens(bus, jobKey('a'), 0, counted(2, 40), options)).rejects.toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
    message: expect.stringContaining('64 bytes'),
  });
  for (const send of [
    () => sendTokens(bus, jobKey('a'), 0, counted(100, 8), options),
    () => bus.storeTensor(jobKey('a'), 0, counted(100, 8), options),
  ]) {
    await expect(send()).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      message: expect.stringContaining('1024 bytes'),
    });
  }
});

test('whether work on a tile goes on is seen in its queues and on the way', async () => {
  const { bus, inbox, to } = await engine();
  const at = { requestId: 'a', item: 0, tile: 2 };
  const underWay = async () =>
    (await bus.isQueued(encodeQueue, { ...at, tile: 0 })) ||
    (await bus.isQueued(connectQueue, at)) ||
    (await bus.isSent(visualTokens, at, inbox.address));
  expect(await underWay()).toBe(false);
  const job = await bus.publish(
    encodeQueue,
    { key: jobKey('a'), media: undefined, modality: Modality.IMAGE, size: undefined, firstTile: 0, tileCount: 4 },
    to(),
  );
  expect(await underWay()).toBe(true);
  await bus.withdraw(job);
  expect(await underWay()).toBe(false);
  await bus.publish(connectQueue, { key: jobKey('a'), tile: 2, features: undefined, encoder: undefined }, to());
  expect(await underWay()).toBe(true);
  const connecting = new AbortController();
  const working = bus.work(connectQueue, {
    slots: 1,
    signal: connecting.signal,
    handler: async (_job, { deliverTo, deadlineMs }) => {
      await sendTokens(bus, jobKey('a'), 2, counted(1, 8), { deadlineMs, deliverTo, timings });
      connecting.abort();
    },
  });
  await working;
  // The inbox holds it for the request, which is not open yet.
  expect(await underWay()).toBe(true);
  await take(inbox.receive('a', cleanup.signal()), 1);
  await eventually(async () => !(await underWay()), 'the tile is taken');
});

function bytesOf(data: Float32Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
