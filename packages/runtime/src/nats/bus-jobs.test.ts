import { type EncodeJob, MediaKind, TesseraError } from '@tessera/protocol';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Bus } from './bus.js';
import type { JobOutcome } from './bus-options.js';
import { Cleanup, eventually, inAMinute, jobKey, newId, smallStreams, take } from './bus-test-support.js';
import { type NatsServer, startNatsServer } from './nats-server.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

function encodeJob(requestId: string, firstTile = 0, bytes = 3): EncodeJob {
  const value = new Uint8Array(bytes).fill(7);
  return {
    key: jobKey(requestId),
    media: { place: { $case: 'inline', value }, digest: 'd', size: BigInt(bytes) },
    kind: MediaKind.IMAGE,
    size: undefined,
    firstTile,
    tileCount: 4,
  };
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

test('every job is done once, by whichever worker is free', async () => {
  const prefix = newId('t');
  const [sender, one, other] = await Promise.all([1, 2, 3].map(() => cleanup.bus(server.url, { prefix })));
  const done: string[] = [];
  for (const bus of [one, other]) {
    void bus?.work('encode', {
      slots: 2,
      signal: cleanup.signal(),
      handler: async (job, context) => {
        expect(context.deliveries).toBe(1);
        done.push(`${job.key?.requestId}/${job.firstTile}`);
      },
    });
  }
  const wanted = Array.from({ length: 40 }, (_, index) => `req/${index}`);
  await Promise.all(
    wanted.map((_, index) => sender?.publishJob('encode', encodeJob('req', index), { deadlineMs: inAMinute() })),
  );
  await eventually(() => done.length >= 40, 'all jobs are done');
  await eventually(async () => (await sender?.queueDepths())?.[0]?.running === 0, 'all are acknowledged');
  expect(done.toSorted()).toEqual(wanted.toSorted());
});

test('a worker takes no more than it has free slots, so another replica gets the rest', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const gate = deferred();
  let busy = 0;
  void bus.work('encode', {
    slots: 2,
    signal: cleanup.signal(),
    handler: async () => {
      busy++;
      await gate.promise;
    },
  });
  for (let tile = 0; tile < 5; tile++)
    await bus.publishJob('encode', encodeJob('a', tile), { deadlineMs: inAMinute() });
  await eventually(() => busy === 2, 'both slots are busy');
  await eventually(async () => (await bus.queueDepths())[0]?.running === 2, 'two are held');
  expect(await bus.queueDepths()).toContainEqual({ kind: 'encode', waiting: 3, running: 2 });
  const replica = await cleanup.bus(server.url, { prefix });
  let taken = 0;
  void replica.work('encode', {
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

test('the same job published twice is queued once', async () => {
  const bus = await cleanup.bus(server.url);
  for (let i = 0; i < 3; i++) await bus.publishJob('encode', encodeJob('a'), { deadlineMs: inAMinute() });
  expect((await bus.queueDepths())[0]).toEqual({ kind: 'encode', waiting: 1, running: 0 });
  const again = { ...encodeJob('a'), key: jobKey('a', 2) };
  await bus.publishJob('encode', again, { deadlineMs: inAMinute() });
  expect((await bus.queueDepths())[0]?.waiting).toBe(2);
});

test('a full queue makes the sender wait, and goes on when there is room', async () => {
  let refusals = 0;
  const bus = await cleanup.bus(server.url, {
    limits: { maxJobs: 2, queueWaitMs: 60_000 },
    observer: { queueFull: () => refusals++ },
  });
  for (let tile = 0; tile < 2; tile++)
    await bus.publishJob('encode', encodeJob('a', tile), { deadlineMs: inAMinute() });
  const third = bus.publishJob('encode', encodeJob('a', 2), { deadlineMs: inAMinute() });
  await eventually(() => refusals === 1, 'the queue refuses');
  const tiles: number[] = [];
  void bus.work('encode', {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (job) => {
      tiles.push(job.firstTile);
    },
  });
  await third;
  await eventually(() => tiles.length === 3, 'all three are done');
});

test('a queue that stays full is QUEUE_FULL with a delay, and what was admitted stays', async () => {
  const bus = await cleanup.bus(server.url, { limits: { maxJobs: 2, queueWaitMs: 100 } });
  for (let tile = 0; tile < 2; tile++)
    await bus.publishJob('encode', encodeJob('a', tile), { deadlineMs: inAMinute() });
  const refused = await bus.publishJob('encode', encodeJob('a', 2), { deadlineMs: inAMinute() }).catch((e) => e);
  expect(refused).toMatchObject({ code: 'QUEUE_FULL', options: { retryAfterMs: 1000 } });
  expect(refused.message).toContain('encoder');
  expect((await bus.queueDepths())[0]?.waiting).toBe(2);
});

test('the bytes of a queue are a limit too', async () => {
  const limits = {
    maxBytes: { ...(smallStreams.maxBytes as never as Record<string, number>), encode: 100_000 } as never,
  };
  const bus = await cleanup.bus(server.url, { limits: { ...limits, queueWaitMs: 100 } });
  await bus.publishJob('encode', encodeJob('a', 0, 60_000), { deadlineMs: inAMinute() });
  await expect(bus.publishJob('encode', encodeJob('a', 1, 60_000), { deadlineMs: inAMinute() })).rejects.toMatchObject({
    code: 'QUEUE_FULL',
  });
});

test('a sender that is cancelled while the queue is full stops waiting', async () => {
  let refusals = 0;
  const bus = await cleanup.bus(server.url, {
    limits: { maxJobs: 1, queueWaitMs: 60_000 },
    observer: { queueFull: () => refusals++ },
  });
  await bus.publishJob('encode', encodeJob('a', 0), { deadlineMs: inAMinute() });
  const controller = new AbortController();
  const waiting = bus.publishJob('encode', encodeJob('a', 1), { deadlineMs: inAMinute(), signal: controller.signal });
  await eventually(() => refusals === 1, 'the queue refuses');
  controller.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' });
});

test('a message over the limit is refused where it is made, with the limit in the error', async () => {
  const bus = await cleanup.bus(server.url);
  const tooLarge = encodeJob('a', 0, bus.limits.maxMessageBytes);
  await expect(bus.publishJob('encode', tooLarge, { deadlineMs: inAMinute() })).rejects.toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
    message: expect.stringContaining(String(bus.limits.maxMessageBytes)),
  });
});

test('a request id that could not stand in a subject is refused', async () => {
  const bus = await cleanup.bus(server.url);
  for (const requestId of ['', 'a.b', 'a b', '*', '>', 'x'.repeat(65)]) {
    await expect(bus.publishJob('encode', encodeJob(requestId), { deadlineMs: inAMinute() })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    });
  }
});

test('a retryable failure brings the job back, and the last one is told as DELIVERY_EXHAUSTED', async () => {
  const outcomes: JobOutcome[] = [];
  const bus = await cleanup.bus(server.url, {
    limits: { maxDeliveries: 3, retryDelayMs: 10 },
    observer: { jobEnded: (_kind, outcome) => outcomes.push(outcome) },
  });
  const deliveries: number[] = [];
  void bus.work('encode', {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (_job, context) => {
      deliveries.push(context.deliveries);
      throw new TesseraError('STAGE_UNAVAILABLE', 'the graph is away');
    },
  });
  await bus.publishJob('encode', encodeJob('a', 4), { deadlineMs: inAMinute() });
  const [failure] = await take(bus.tokens('a', cleanup.signal()), 1);
  expect(failure).toEqual({
    kind: 'failure',
    item: 0,
    tile: 4,
    attempt: 1,
    code: 'DELIVERY_EXHAUSTED',
    message: expect.stringContaining('the graph is away'),
    stage: 'encoder',
  });
  expect(deliveries).toEqual([1, 2, 3]);
  await eventually(() => outcomes.length === 3, 'the last delivery is reported');
  expect(outcomes).toEqual(['retried', 'retried', 'exhausted']);
  await eventually(async () => {
    const [depth] = await bus.queueDepths();
    return depth?.waiting === 0 && depth.running === 0;
  }, 'the job left the queue');
});

test('a failure that no retry can mend is told at once, in the place of the product', async () => {
  const bus = await cleanup.bus(server.url);
  let runs = 0;
  for (const kind of ['encode', 'generate'] as const) {
    void bus.work(kind, {
      slots: 1,
      signal: cleanup.signal(),
      handler: async () => {
        runs++;
        throw new TesseraError('MEDIA_CORRUPT', 'the picture ends too soon');
      },
    });
  }
  await bus.publishJob('encode', encodeJob('a'), { deadlineMs: inAMinute() });
  await bus.publishJob(
    'generate',
    { key: jobKey('a', 1, 2), condition: undefined, options: undefined },
    { deadlineMs: inAMinute() },
  );
  const [encodeFailure] = await take(bus.tokens('a', cleanup.signal()), 1);
  expect(encodeFailure).toMatchObject({ kind: 'failure', code: 'MEDIA_CORRUPT', stage: 'encoder' });
  const [drawFailure] = await take(bus.media('a', cleanup.signal()), 1);
  expect(drawFailure).toMatchObject({ kind: 'failure', code: 'MEDIA_CORRUPT', stage: 'generator', item: 2 });
  expect(runs).toBe(2);
});

test('a worker that dies with a job in its hands loses it to another', async () => {
  const prefix = newId('t');
  const limits = { ackWaitMs: 1000 };
  const survivor = await cleanup.bus(server.url, { prefix, limits });
  const victim = await Bus.connect({
    url: server.url,
    prefix,
    revision: 'r1',
    name: 'victim',
    limits: { ...smallStreams, ...limits },
  });
  const started = deferred();
  const died = new AbortController();
  void victim
    .work('encode', {
      slots: 1,
      signal: died.signal,
      handler: async () => {
        started.resolve();
        await new Promise(() => {});
      },
    })
    .catch(() => {});
  await survivor.publishJob('encode', encodeJob('a'), { deadlineMs: inAMinute() });
  await started.promise;
  await victim.close();
  const deliveries: number[] = [];
  void survivor.work('encode', {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (_job, context) => {
      deliveries.push(context.deliveries);
    },
  });
  await eventually(() => deliveries.length === 1, 'the job came back');
  expect(deliveries).toEqual([2]);
});

test('a job whose worker says progress is not given away', async () => {
  const prefix = newId('t');
  const limits = { ackWaitMs: 1000 };
  const [bus, idle] = await Promise.all([1, 2].map(() => cleanup.bus(server.url, { prefix, limits })));
  let starts = 0;
  let steps = 0;
  for (const worker of [bus, idle]) {
    void worker?.work('encode', {
      slots: 1,
      signal: cleanup.signal(),
      handler: async (_job, context) => {
        starts++;
        for (; steps < 12; steps++) {
          await new Promise((resolve) => setTimeout(resolve, 250));
          context.progress();
        }
      },
    });
  }
  await bus?.publishJob('encode', encodeJob('a'), { deadlineMs: inAMinute() });
  await eventually(async () => steps === 12 && (await bus?.queueDepths())?.[0]?.running === 0, 'the long job is done');
  expect(starts).toBe(1);
});

test('a draining worker takes nothing more and finishes what it has', async () => {
  const bus = await cleanup.bus(server.url);
  const gate = deferred();
  const started = deferred();
  const drain = new AbortController();
  let done = 0;
  const working = bus.work('encode', {
    slots: 3,
    signal: drain.signal,
    handler: async () => {
      started.resolve();
      await gate.promise;
      done++;
    },
  });
  await bus.publishJob('encode', encodeJob('a', 0), { deadlineMs: inAMinute() });
  await started.promise;
  drain.abort();
  await bus.publishJob('encode', encodeJob('a', 1), { deadlineMs: inAMinute() });
  gate.resolve();
  await working;
  expect(done).toBe(1);
  await eventually(async () => (await bus.queueDepths())[0]?.running === 0, 'the finished job is acknowledged');
  // The second job is free for another worker, not stuck with the one that left.
  expect((await bus.queueDepths())[0]?.waiting).toBe(1);
});

test('a job that is surely late is not begun', async () => {
  const bus = await cleanup.bus(server.url, { limits: { clockMarginMs: 200 } });
  await bus.publishJob('encode', encodeJob('a'), { deadlineMs: Date.now() + 100 });
  await new Promise((resolve) => setTimeout(resolve, 400));
  let runs = 0;
  void bus.work('encode', {
    slots: 1,
    signal: cleanup.signal(),
    handler: async () => {
      runs++;
    },
  });
  const [failure] = await take(bus.tokens('a', cleanup.signal()), 1);
  expect(failure).toMatchObject({ kind: 'failure', code: 'DEADLINE_EXCEEDED' });
  expect(runs).toBe(0);
});

test('a job past its deadline is stopped', async () => {
  const bus = await cleanup.bus(server.url, { limits: { clockMarginMs: 200 } });
  void bus.work('encode', {
    slots: 1,
    signal: cleanup.signal(),
    handler: (_job, { signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  });
  await bus.publishJob('encode', encodeJob('a'), { deadlineMs: Date.now() + 500 });
  const [failure] = await take(bus.tokens('a', cleanup.signal()), 1);
  expect(failure).toMatchObject({ kind: 'failure', code: 'DEADLINE_EXCEEDED', stage: 'encoder' });
});

test('trace context and deadline cross the queue', async () => {
  const deadlineMs = inAMinute();
  const seen: unknown[] = [];
  const bus = await cleanup.bus(server.url, {
    trace: {
      inject: () => '00-11111111111111111111111111111111-2222222222222222-01',
      continue: (traceparent, name, run) => {
        seen.push(traceparent, name);
        return run();
      },
    },
  });
  void bus.work('encode', {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (_job, context) => {
      seen.push(context.deadlineMs);
    },
  });
  await bus.publishJob('encode', encodeJob('a'), { deadlineMs });
  await eventually(() => seen.length === 3, 'the job ran');
  expect(seen).toEqual(['00-11111111111111111111111111111111-2222222222222222-01', 'encoder encode', deadlineMs]);
});

test('two prefixes on one server do not meet', async () => {
  const [one, other] = await Promise.all([
    cleanup.bus(server.url, { prefix: 'a' }),
    cleanup.bus(server.url, { prefix: 'a_b' }),
  ]);
  const seen: string[] = [];
  for (const [name, bus] of [
    ['one', one],
    ['other', other],
  ] as const) {
    void bus.work('encode', {
      slots: 1,
      signal: cleanup.signal(),
      handler: async (job) => {
        seen.push(`${name} ${job.firstTile}`);
      },
    });
  }
  await one.publishJob('encode', encodeJob('same', 1), { deadlineMs: inAMinute() });
  await other.publishJob('encode', encodeJob('same', 2), { deadlineMs: inAMinute() });
  await one.cancel('same');
  await eventually(() => seen.includes('other 2'), 'the other prefix goes on');
  expect(seen).not.toContain('other 1');
  expect(seen).not.toContain('one 2');
  expect(await other.isCancelled('same')).toBe(false);
});
