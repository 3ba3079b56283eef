import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { encodeQueue } from '@tessera/protocol';
import { deferred } from '@tessera/testing/async/deferred';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { defaultBusLimits } from '../bus-options.js';
import { encodeJob, jobKey, toNobody } from '../testing/messages.js';
import { Cleanup, newId, smallStreams } from '../testing/test-bus.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

test('every job is done once, by whichever worker is free', async () => {
  const prefix = newId('t');
  const [sender, one, other] = await Promise.all([1, 2, 3].map(() => cleanup.bus(server.url, { prefix })));
  const done: string[] = [];
  for (const bus of [one, other]) {
    void bus?.work(encodeQueue, {
      slots: 2,
      signal: cleanup.signal(),
      handler: async (job, context) => {
        expect(context.deliveries).toBe(1);
        done.push(`${job.key?.requestId}/${job.firstTile}`);
      },
    });
  }
  const wanted = Array.from({ length: 40 }, (_, index) => `req/${index}`);
  await Promise.all(wanted.map((_, index) => sender?.publish(encodeQueue, encodeJob('req', index), toNobody())));
  await eventually(() => done.length >= 40, 'all jobs are done');
  await eventually(async () => (await sender?.queueDepths())?.[0]?.running === 0, 'all are acknowledged');
  expect(done.toSorted()).toEqual(wanted.toSorted());
  expect((await sender?.queueDepths())?.[0]).toEqual({ kind: 'encode', waiting: 0, running: 0, settled: 40 });
});

test('a worker takes no more than it has free slots, so another replica gets the rest', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const gate = deferred();
  let busy = 0;
  void bus.work(encodeQueue, {
    slots: 2,
    signal: cleanup.signal(),
    handler: async () => {
      busy++;
      await gate.promise;
    },
  });
  for (let tile = 0; tile < 5; tile++) await bus.publish(encodeQueue, encodeJob('a', tile), toNobody());
  await eventually(() => busy === 2, 'both slots are busy');
  await eventually(async () => (await bus.queueDepths())[0]?.running === 2, 'two are held');
  expect(await bus.queueDepths()).toContainEqual({ kind: 'encode', waiting: 3, running: 2, settled: 0 });
  const replica = await cleanup.bus(server.url, { prefix });
  let taken = 0;
  void replica.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async () => {
      taken++;
    },
  });
  await eventually(() => taken === 3, 'the new replica takes what waits');
  expect(busy).toBe(2);
  gate.resolve();
});

test('a worker that has done a job asks for one more, not for those that it has asked for already', async () => {
  const bus = await cleanup.bus(server.url);
  const gate = deferred();
  let busy = 0;
  void bus.work(encodeQueue, {
    slots: 3,
    signal: cleanup.signal(),
    handler: async ({ firstTile }) => {
      if (firstTile === 0) return;
      busy++;
      await gate.promise;
    },
  });
  await bus.publish(encodeQueue, encodeJob('a', 0), toNobody());
  await eventually(async () => (await bus.queueDepths())[0]?.settled === 1, 'the first is done');
  for (let tile = 1; tile <= 6; tile++) await bus.publish(encodeQueue, encodeJob('a', tile), toNobody());
  await eventually(() => busy >= 3, 'all slots are busy');
  expect((await bus.queueDepths())[0]).toMatchObject({ waiting: 3, running: 3 });
  gate.resolve();
  await eventually(() => busy === 6, 'the others have their turn');
});

test('a queue is as old as the oldest job that is not done, be it waiting or in work', async () => {
  const bus = await cleanup.bus(server.url);
  const state = async () => (await bus.queueStates()).find(({ kind }) => kind === 'encode');
  const idle = { kind: 'encode', waiting: 0, running: 0, settled: 0, oldestAgeMs: 0 };
  expect((await bus.queueStates()).map(({ kind }) => kind)).toEqual(['encode', 'connect', 'generate']);
  expect(await state()).toEqual(idle);
  const before = Date.now();
  await bus.publish(encodeQueue, encodeJob('a', 0), toNobody());
  await bus.publish(encodeQueue, encodeJob('a', 1), toNobody());
  const [gate, begun] = [deferred(), deferred()];
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async () => {
      begun.resolve();
      await gate.promise;
    },
  });
  await begun.promise;
  await eventually(async () => ((await state())?.oldestAgeMs ?? 0) > 50, 'it gets older');
  const { oldestAgeMs, ...depth } = (await state()) ?? idle;
  expect(depth).toEqual({ kind: 'encode', waiting: 1, running: 1, settled: 0 });
  expect(oldestAgeMs).toBeLessThanOrEqual(Date.now() - before + 1);
  gate.resolve();
  await eventually(async () => (await state())?.settled === 2, 'both are done');
  expect(await state()).toEqual({ ...idle, settled: 2 });
});

test('a job is told how long it waited in its queue', async () => {
  const ended: { queueMs: number; busyMs: number }[] = [];
  const bus = await cleanup.bus(server.url, { observer: { jobEnded: (_kind, _outcome, times) => ended.push(times) } });
  const before = Date.now();
  await bus.publish(encodeQueue, encodeJob('a'), toNobody());
  const queued = Date.now();
  await eventually(() => Date.now() > queued + 100, 'it has waited for a while');
  const begun = Date.now();
  const told: number[] = [];
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (_job, { queueMs }) => {
      told.push(queueMs);
    },
  });
  await eventually(() => ended.length === 1, 'it is done');
  // The server's clock and this one are one, but not of one precision.
  expect(told[0]).toBeGreaterThan(begun - queued - 2);
  expect(told[0]).toBeLessThan(Date.now() - before + 2);
  expect(ended[0]?.queueMs).toBe(told[0]);
});

test('the same job published twice is queued once', async () => {
  const bus = await cleanup.bus(server.url);
  for (let i = 0; i < 3; i++) await bus.publish(encodeQueue, encodeJob('a'), toNobody());
  expect((await bus.queueDepths())[0]).toMatchObject({ kind: 'encode', waiting: 1, running: 0 });
  const again = { ...encodeJob('a'), key: jobKey('a', 2) };
  await bus.publish(encodeQueue, again, toNobody());
  expect((await bus.queueDepths())[0]?.waiting).toBe(2);
});

test('a full queue makes the sender wait, and goes on when there is room', async () => {
  let refusals = 0;
  const published: string[] = [];
  const waited: string[] = [];
  const bus = await cleanup.bus(server.url, {
    limits: { maxJobs: 2, queueWaitMs: 60_000 },
    observer: {
      queueFull: () => refusals++,
      published: (kind) => published.push(kind),
      fullWaited: (kind, waitedMs) => waited.push(waitedMs > 0 ? kind : `${kind} for ${waitedMs} ms`),
    },
  });
  for (let tile = 0; tile < 2; tile++) await bus.publish(encodeQueue, encodeJob('a', tile), toNobody());
  const third = bus.publish(encodeQueue, encodeJob('a', 2), toNobody());
  await eventually(() => refusals === 1, 'the queue refuses');
  const tiles: number[] = [];
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (job) => {
      tiles.push(job.firstTile);
    },
  });
  await third;
  await eventually(() => tiles.length === 3, 'all three are done');
  expect({ refusals, published, waited }).toEqual({
    refusals: 1,
    published: ['encode', 'encode', 'encode'],
    waited: ['encode'],
  });
});

test('a queue that stays full is QUEUE_FULL with a delay, and what was admitted stays', async () => {
  const bus = await cleanup.bus(server.url, { limits: { maxJobs: 2, queueWaitMs: 100 } });
  for (let tile = 0; tile < 2; tile++) await bus.publish(encodeQueue, encodeJob('a', tile), toNobody());
  const refused = await bus.publish(encodeQueue, encodeJob('a', 2), toNobody()).catch((e) => e);
  expect(refused).toMatchObject({ code: 'QUEUE_FULL', options: { retryAfterMs: 1000 } });
  expect(refused.message).toContain('encoder');
  expect((await bus.queueDepths())[0]?.waiting).toBe(2);
});

test('the bytes of a queue are a limit too', async () => {
  const maxBytes = { ...defaultBusLimits.maxBytes, ...smallStreams.maxBytes, encode: 100_000 };
  const bus = await cleanup.bus(server.url, { limits: { maxBytes, queueWaitMs: 100 } });
  await bus.publish(encodeQueue, encodeJob('a', 0, 60_000), toNobody());
  await expect(bus.publish(encodeQueue, encodeJob('a', 1, 60_000), toNobody())).rejects.toMatchObject({
    code: 'QUEUE_FULL',
  });
});

test('a sender that is cancelled while the queue is full stops waiting', async () => {
  let refusals = 0;
  const bus = await cleanup.bus(server.url, {
    limits: { maxJobs: 1, queueWaitMs: 60_000 },
    observer: { queueFull: () => refusals++ },
  });
  await bus.publish(encodeQueue, encodeJob('a', 0), toNobody());
  const controller = new AbortController();
  const waiting = bus.publish(encodeQueue, encodeJob('a', 1), { ...toNobody(), signal: controller.signal });
  await eventually(() => refusals === 1, 'the queue refuses');
  controller.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' });
});

test('a message over the limit is refused where it is made, with the limit in the error', async () => {
  const bus = await cleanup.bus(server.url);
  const tooLarge = encodeJob('a', 0, bus.limits.partBytes + 16 * 1024);
  await expect(bus.publish(encodeQueue, tooLarge, toNobody())).rejects.toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
    message: expect.stringContaining(String(bus.limits.partBytes + 16 * 1024)),
  });
});

test('a request id that could not stand in a subject is refused', async () => {
  const bus = await cleanup.bus(server.url);
  for (const requestId of ['', 'a.b', 'a b', '*', '>', 'x'.repeat(65)]) {
    await expect(bus.publish(encodeQueue, encodeJob(requestId), toNobody())).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    });
  }
});
