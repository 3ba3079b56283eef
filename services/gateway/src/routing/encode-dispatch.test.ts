import type { Bus, BusLimits } from '@tessera/bus';
import { testBus } from '@tessera/bus/testing/test-bus';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { connectQueue, encodeQueue, Modality, tensor, visualTokens } from '@tessera/protocol';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { EncodeDispatch, type EncodeItem, encodeJobs } from './encode-dispatch.js';

let server: NatsServer;
const buses: Bus[] = [];

beforeAll(async () => {
  server = await startNatsServer();
});
afterAll(async () => {
  for (const bus of buses) await bus.close();
  await server.stop();
});

async function newBus(limits: Partial<BusLimits> = {}): Promise<Bus> {
  const bus = await testBus(server.url, { limits });
  buses.push(bus);
  return bus;
}

function items(...tiles: number[]): EncodeItem[] {
  return tiles.map((count, item) => ({
    item,
    modality: Modality.IMAGE,
    size: { width: 10, height: 10 },
    tiles: count,
    bytes: new Uint8Array([item, 1, 2, 3]),
    digest: `d${item}`,
  }));
}

const engine = '0-someengine';
const never = new AbortController().signal;

function dispatch(bus: Bus, media: EncodeItem[], leftMs = 60_000): EncodeDispatch {
  return new EncodeDispatch(bus, 4, media, { requestId: 'req', deadlineMs: Date.now() + leftMs });
}

/** What workers are given, in its order, until the signal aborts. */
function work(bus: Bus, signal: AbortSignal): string[] {
  const done: string[] = [];
  void bus.work(encodeQueue, {
    slots: 1,
    signal,
    handler: async ({ key, firstTile, tileCount }, { deliverTo }) => {
      done.push(`${key?.attempt}: ${key?.item}/${firstTile}+${tileCount} to ${deliverTo}`);
    },
  });
  return done;
}

test('items are cut into jobs, the first ones first', async () => {
  const bus = await newBus();
  const media = items(5, 1);
  expect(encodeJobs(media, 4)).toBe(3);
  await dispatch(bus, media).sendAll(2, engine, never);
  const stop = new AbortController();
  const done = work(bus, stop.signal);
  await vi.waitUntil(() => done.length === 3, { timeout: 5_000 });
  stop.abort();
  expect(done).toEqual(['2: 0/0+4 to 0-someengine', '2: 0/4+1 to 0-someengine', '2: 1/0+1 to 0-someengine']);
});

test('what finds the queue full is sent later, in its order, and nothing fails', async () => {
  const bus = await newBus({ maxJobs: 1, queueWaitMs: 20 });
  const sending = dispatch(bus, items(5, 4, 1)).sendAll(1, engine, never);
  // Longer than the bus itself waits for room.
  await new Promise((resolve) => setTimeout(resolve, 300));
  const stop = new AbortController();
  const done = work(bus, stop.signal);
  await sending;
  await vi.waitUntil(() => done.length === 4, { timeout: 60_000 });
  stop.abort();
  expect(done.map((each) => each.split(' ')[1])).toEqual(['0/0+4', '0/4+1', '1/0+4', '2/0+1']);
});

test('a queue that stays full is the failure of the encoder, told shortly before the deadline', async () => {
  const bus = await newBus({ maxJobs: 1, queueWaitMs: 20 });
  await expect(dispatch(bus, items(5), 900).sendAll(1, engine, never)).rejects.toMatchObject({
    code: 'QUEUE_FULL',
    options: { stage: 'encoder' },
  });
});

test('what can never be sent fails at once, and is the failure of the encoder', async () => {
  const bus = await newBus();
  const late = new EncodeDispatch(bus, 4, items(1), { requestId: 'req', deadlineMs: Date.now() - 10_000 });
  await expect(late.sendAll(1, engine, never)).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
    options: { stage: 'encoder' },
  });
});

test('the end of an attempt ends its sending: the next one begins from the first tile', async () => {
  const bus = await newBus({ maxJobs: 1, queueWaitMs: 20 });
  const encodes = dispatch(bus, items(5));
  const attempt = new AbortController();
  const first = encodes.sendAll(1, '0-deadengine', attempt.signal);
  await vi.waitUntil(async () => (await bus.queueDepths())[0]?.waiting === 1, { timeout: 60_000 });
  attempt.abort(new Error('the engine died'));
  await expect(first).rejects.toThrow('the engine died');
  const stop = new AbortController();
  const done = work(bus, stop.signal);
  await encodes.sendAll(2, '0-liveengine', never);
  await vi.waitUntil(() => done.filter((each) => each.endsWith('0-liveengine')).length === 2, { timeout: 60_000 });
  stop.abort();
  expect(done.filter((each) => each.startsWith('2'))).toEqual(['2: 0/0+4 to 0-liveengine', '2: 0/4+1 to 0-liveengine']);
});

/** What the queue holds, done by a worker. */
async function doneNow(bus: Bus): Promise<string[]> {
  const stop = new AbortController();
  const done = work(bus, stop.signal);
  const isAtRest = async (): Promise<boolean> => {
    const [queue] = await bus.queueDepths();
    return queue?.waiting === 0 && queue.running === 0;
  };
  await vi.waitUntil(isAtRest, { timeout: 60_000 });
  stop.abort();
  return done;
}

test('a tile that is missed is made again, once work on it is over, and under a higher attempt', async () => {
  const bus = await newBus();
  const encodes = dispatch(bus, items(5));
  let attempt = 1;
  const next = (): number => ++attempt;
  const recipient = { deliverTo: engine, signal: never };
  // Before it was sent its turn is still to come.
  await encodes.resendIfLost(0, 2, next, recipient);
  await encodes.sendAll(1, engine, never);
  // It waits in the queue.
  await encodes.resendIfLost(0, 2, next, recipient);
  expect(attempt).toBe(1);
  expect(await doneNow(bus)).toHaveLength(2);
  encodes.arrived(0, 4);
  await encodes.resendLost(next, recipient);
  await encodes.resendIfLost(0, 9, next, recipient);
  // What was lost with one job is made with one job.
  expect(await doneNow(bus)).toEqual(['2: 0/0+4 to 0-someengine']);
  // Asked for at once as well.
  await Promise.all([1, 2, 3].map((tile) => encodes.resendIfLost(0, tile, next, recipient)));
  expect(await doneNow(bus)).toEqual(['3: 0/1+3 to 0-someengine']);
});

test('a tile is not made again whose job waits with the connectors, nor one whose tokens are on their way', async () => {
  const bus = await newBus();
  const encodes = dispatch(bus, items(4));
  await encodes.sendAll(1, engine, never);
  expect(await doneNow(bus)).toHaveLength(1);
  const key = { requestId: 'req', attempt: 1, item: 0 };
  const to = { deadlineMs: Date.now() + 60_000, deliverTo: engine };
  await bus.publish(connectQueue, { key, tile: 1, features: undefined, encoder: undefined }, to);
  await bus.send(
    visualTokens,
    { key, tile: 3, tensor: tensor('float32', [2, 2], new Float32Array(4)), timings: [] },
    to,
  );
  let attempt = 1;
  const resend = (tile: number) => encodes.resendIfLost(0, tile, () => ++attempt, { deliverTo: engine, signal: never });
  for (const tile of [1, 3]) await resend(tile);
  expect(attempt).toBe(1);
  // What is lost before either is made again without it.
  await resend(0);
  expect(await doneNow(bus)).toEqual(['2: 0/0+1 to 0-someengine']);
  await resend(2);
  expect(await doneNow(bus)).toEqual(['3: 0/2+1 to 0-someengine']);
  await bus.removeInbox(visualTokens, engine);
});

test('a request is unfinished until the last tile of each item has come, in whatever order', async () => {
  const encodes = dispatch(await newBus(), items(2, 1));
  // Nothing is under way before it was sent.
  expect(encodes.isUnfinished).toBe(false);
  await encodes.sendAll(1, engine, never);
  expect(encodes.isUnfinished).toBe(true);
  for (const [item, tile, unfinished] of [
    [1, 0, true],
    [0, 1, true],
    // What nobody asked for says nothing.
    [0, 2, true],
    [2, 0, true],
    [0, 0, false],
  ] as const) {
    encodes.arrived(item, tile);
    expect(encodes.isUnfinished, `after tile ${tile} of item ${item}`).toBe(unfinished);
  }
});

test('an engine that computes a prompt again has its tiles made once more', async () => {
  const bus = await newBus();
  const encodes = dispatch(bus, items(5));
  await encodes.sendAll(1, engine, never);
  expect(await doneNow(bus)).toHaveLength(2);
  for (let tile = 0; tile < 5; tile++) encodes.arrived(0, tile);
  expect(encodes.isUnfinished).toBe(false);
  let attempt = 1;
  const recipient = { deliverTo: engine, signal: never };
  await Promise.all(
    [1, 2, 3].map((tile) => encodes.sendNeeded(0, tile, { first: 1, next: () => ++attempt }, recipient)),
  );
  expect(encodes.isUnfinished).toBe(true);
  expect(await doneNow(bus)).toEqual(['2: 0/0+4 to 0-someengine']);
});

test('a request that ends takes back what nobody has begun', async () => {
  const bus = await newBus();
  const encodes = dispatch(bus, items(5, 1));
  await encodes.sendAll(1, engine, never);
  expect(encodes.isUnfinished).toBe(true);
  await encodes.close();
  expect((await bus.queueDepths())[0]?.waiting).toBe(0);
});
