import { jetstream } from '@nats-io/jetstream';
import { connect, headers } from '@nats-io/transport-node';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import {
  drawingEvents,
  type EncodeJob,
  encodeQueue,
  generateQueue,
  type JobMessage,
  TesseraError,
  visualTokens,
} from '@tessera/protocol';
import { take } from '@tessera/testing/async/collect';
import { deferred } from '@tessera/testing/async/deferred';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { Bus } from '../bus.js';
import { encodeJob, inAMinute, jobKey, toNobody } from '../testing/messages.js';
import { Cleanup, newId, smallStreams } from '../testing/test-bus.js';
import type { JobOutcome } from './job-outcome.js';
import type { JobContext } from './worker.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(async () => {
  vi.useRealTimers();
  await cleanup.run();
});
afterAll(() => server.stop());

test('a retryable failure brings the job back, and the last one is told as DELIVERY_EXHAUSTED', async () => {
  const outcomes: JobOutcome[] = [];
  const bus = await cleanup.bus(server.url, {
    limits: { maxDeliveries: 3, retryDelayMs: 10 },
    observer: { jobEnded: (_kind, outcome) => outcomes.push(outcome) },
  });
  const deliveries: number[] = [];
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (_job, context) => {
      deliveries.push(context.deliveries);
      throw new TesseraError('STAGE_UNAVAILABLE', 'the graph is away');
    },
  });
  const inbox = await bus.openInbox(visualTokens);
  await bus.publish(encodeQueue, encodeJob('a', 4), { ...toNobody(), deliverTo: inbox.address });
  const [failure] = await take(inbox.receive('a', cleanup.signal()), 1);
  expect(failure).toEqual({
    kind: 'failure',
    item: 0,
    tile: 4,
    of: 'item',
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
  for (const queue of [encodeQueue, generateQueue]) {
    void bus.work<JobMessage>(queue, {
      slots: 1,
      signal: cleanup.signal(),
      handler: async () => {
        runs++;
        throw new TesseraError('MEDIA_CORRUPT', 'the picture ends too soon');
      },
    });
  }
  const [tokens, drawings] = [await bus.openInbox(visualTokens), await bus.openInbox(drawingEvents)];
  await bus.publish(encodeQueue, encodeJob('a'), { ...toNobody(), deliverTo: tokens.address });
  const drawing = { key: jobKey('a', 1, 2), condition: undefined, options: undefined };
  await bus.publish(generateQueue, drawing, { ...toNobody(), deliverTo: drawings.address });
  const [encodeFailure] = await take(tokens.receive('a', cleanup.signal()), 1);
  expect(encodeFailure).toMatchObject({ kind: 'failure', code: 'MEDIA_CORRUPT', stage: 'encoder' });
  const [drawFailure] = await take(drawings.receive('a', cleanup.signal()), 1);
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
    .work(encodeQueue, {
      slots: 1,
      signal: died.signal,
      handler: async () => {
        started.resolve();
        await new Promise(() => {});
      },
    })
    .catch(() => {});
  await survivor.publish(encodeQueue, encodeJob('a'), toNobody());
  await started.promise;
  await victim.close();
  const deliveries: number[] = [];
  void survivor.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (_job, context) => {
      deliveries.push(context.deliveries);
    },
  });
  await eventually(() => deliveries.length === 1, 'the job came back');
  expect(deliveries).toEqual([2]);
});

test('a job is kept by its worker without a word of its handler', async () => {
  const prefix = newId('t');
  const limits = { ackWaitMs: 1000 };
  const [bus, idle] = await Promise.all([1, 2].map(() => cleanup.bus(server.url, { prefix, limits })));
  let starts = 0;
  let ends = 0;
  for (const worker of [bus, idle]) {
    void worker?.work(encodeQueue, {
      slots: 1,
      signal: cleanup.signal(),
      handler: async () => {
        starts++;
        await new Promise((resolve) => setTimeout(resolve, 3000));
        ends++;
      },
    });
  }
  await bus?.publish(encodeQueue, encodeJob('a'), toNobody());
  await eventually(async () => ends > 0 && (await bus?.queueDepths())?.[0]?.running === 0, 'the long job is done');
  expect(starts).toBe(1);
});

test('a handler that is stuck loses its job, even if it never ends; one that waits for others does not', async () => {
  const outcomes: JobOutcome[] = [];
  const stalled: string[] = [];
  const bus = await cleanup.bus(server.url, {
    // A machine that stands still for a while is not to be taken for a worker that is gone.
    limits: { ackWaitMs: 2000, stallMs: 1200, retryDelayMs: 10 },
    observer: { jobStalled: (kind) => stalled.push(kind), jobEnded: (_kind, outcome) => outcomes.push(outcome) },
  });
  let runs = 0;
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (job, context) => {
      runs++;
      if (job.firstTile === 1) await context.waits(new Promise((resolve) => setTimeout(resolve, 2500)));
      else if (context.deliveries === 1) await new Promise(() => {});
    },
  });
  await bus.publish(encodeQueue, encodeJob('a', 0), toNobody());
  await eventually(() => outcomes.length === 2, 'the second delivery is done');
  expect(outcomes).toEqual(['retried', 'done']);
  await bus.publish(encodeQueue, encodeJob('a', 1), toNobody());
  await eventually(() => outcomes.length === 3, 'the patient one is done');
  expect({ runs, stalled, last: outcomes[2] }).toEqual({ runs: 3, stalled: ['encode'], last: 'done' });
});

test('a handler that goes on after it waited, or gives a sign, has its time again', async () => {
  const stalled: string[] = [];
  const bus = await cleanup.bus(server.url, {
    limits: { ackWaitMs: 40_000, stallMs: 60_000 },
    observer: { jobStalled: (kind) => stalled.push(kind) },
  });
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  const others = deferred();
  let context: JobContext | undefined;
  let goesOn = false;
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (_job, given) => {
      context = given;
      await given.waits(others.promise);
      goesOn = true;
      await new Promise(() => {});
    },
  });
  await bus.publish(encodeQueue, encodeJob('a'), toNobody());
  await eventually(() => context !== undefined, 'the job is begun');
  vi.advanceTimersByTime(300_000);
  others.resolve();
  await eventually(() => goesOn, 'what it waited for has come');
  vi.advanceTimersByTime(50_000);
  context?.progress();
  vi.advanceTimersByTime(50_000);
  expect([stalled, context?.signal.aborted]).toEqual([[], false]);
  // It is taken once.
  vi.advanceTimersByTime(60_000);
  expect([stalled, context?.signal.aborted]).toEqual([['encode'], true]);
});

test('a job that only waits lends its slot, up to a bound', async () => {
  const bus = await cleanup.bus(server.url);
  const gate = deferred();
  const begun: number[] = [];
  const done: number[] = [];
  void bus.work(encodeQueue, {
    slots: 1,
    maxHeld: 3,
    signal: cleanup.signal(),
    handler: async (job, context) => {
      begun.push(job.firstTile);
      if (job.firstTile < 2) await context.idle(gate.promise);
      done.push(job.firstTile);
    },
  });
  for (let tile = 0; tile < 4; tile++) await bus.publish(encodeQueue, encodeJob('a', tile), toNobody());
  // Two wait, and those behind them are served.
  await eventually(() => done.length === 2, 'the others are done');
  expect(done).toEqual([2, 3]);
  gate.resolve();
  await eventually(() => done.length === 4, 'all are done');
  expect(begun).toEqual([0, 1, 2, 3]);
});

test('no more jobs than the bound are held, however many of them only wait', async () => {
  const bus = await cleanup.bus(server.url);
  const gate = deferred();
  let begun = 0;
  void bus.work(encodeQueue, {
    slots: 1,
    maxHeld: 3,
    signal: cleanup.signal(),
    handler: async (_job, context) => {
      begun++;
      await context.idle(gate.promise);
    },
  });
  for (let tile = 0; tile < 6; tile++) await bus.publish(encodeQueue, encodeJob('a', tile), toNobody());
  await eventually(() => begun === 3, 'three are held');
  expect((await bus.queueDepths())[0]).toMatchObject({ waiting: 3, running: 3 });
  gate.resolve();
  await eventually(() => begun === 6, 'the others have their turn');
});

test('a draining worker finishes what it has, does what still comes to requests that are out, then takes nothing', async () => {
  const bus = await cleanup.bus(server.url, { limits: { ackWaitMs: 1000 } });
  const gate = deferred();
  const started = deferred();
  const drain = new AbortController();
  const done: number[] = [];
  const later: number[] = [];
  const deliveries = new Set<number>();
  const working = bus.work(encodeQueue, {
    slots: 3,
    signal: drain.signal,
    handler: async (job, context) => {
      deliveries.add(context.deliveries);
      started.resolve();
      await gate.promise;
      done.push(job.firstTile);
    },
  });
  await bus.publish(encodeQueue, encodeJob('a', 0), toNobody());
  await started.promise;
  drain.abort();
  // More than the slots whose requests may still be out.
  for (let tile = 1; tile <= 4; tile++) {
    await bus.publish(encodeQueue, encodeJob('a', tile), toNobody());
  }
  gate.resolve();
  await working;
  expect(done).toContain(0);
  expect(done.length).toBeLessThanOrEqual(3);
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (job, context) => {
      deliveries.add(context.deliveries);
      later.push(job.firstTile);
    },
  });
  await eventually(() => done.length + later.length === 5, 'another worker gets what came later');
  expect([...done, ...later].sort()).toEqual([0, 1, 2, 3, 4]);
  // None was handed back and forth between the slots of the worker that left: at most, one that was on its way to it in
  // the moment of its leaving came again.
  expect(Math.max(...deliveries)).toBeLessThanOrEqual(2);
});

test('workers that come and go lose no job', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix, limits: { ackWaitMs: 1000, maxDeliveries: 100 } });
  const done = new Set<number>();
  const sending = (async () => {
    for (let tile = 0; tile < 300; tile++) {
      await bus.publish(encodeQueue, encodeJob('a', tile), toNobody());
    }
  })();
  const handler = async (job: EncodeJob) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    done.add(job.firstTile);
  };
  for (let round = 0; round < 40; round++) {
    const drain = new AbortController();
    const working = bus.work(encodeQueue, { slots: 4, signal: drain.signal, handler });
    await new Promise((resolve) => setTimeout(resolve, round % 7));
    drain.abort();
    await working;
  }
  await sending;
  void bus.work(encodeQueue, { slots: 4, signal: cleanup.signal(), handler });
  await eventually(() => done.size === 300, 'every job is done');
});

test('what is no job leaves the queue, and its request is told where it can be', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  const js = jetstream(nc);
  const header = headers();
  header.set('Tessera-Deadline', String(inAMinute()));
  header.set('Tessera-Attempt', '1');
  const inbox = await bus.openInbox(visualTokens);
  await js.publish(`${prefix}.v2.encode.r1.a.0.1`, Uint8Array.of(255, 255), { headers: header });
  header.set('Tessera-Deliver-To', inbox.address);
  await js.publish(`${prefix}.v2.encode.r1.a.0.0`, 'no headers');
  await js.publish(`${prefix}.v2.encode.r1.a.odd`, 'no such subject', { headers: header });
  await js.publish(`${prefix}.v2.encode.r1.a.0.2`, Uint8Array.of(255, 255), { headers: header });
  let runs = 0;
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async () => {
      runs++;
    },
  });
  const [failure] = await take(inbox.receive('a', cleanup.signal()), 1);
  expect(failure).toMatchObject({ kind: 'failure', code: 'INTERNAL', tile: 2 });
  await eventually(async () => {
    const [depth] = await bus.queueDepths();
    return depth?.waiting === 0 && depth.running === 0;
  }, 'the queue is empty');
  expect(runs).toBe(0);
});

test('a worker that is told to leave keeps what it holds for as long as it is not overdue', async () => {
  const outcomes: JobOutcome[] = [];
  const observer = { jobEnded: (_kind: string, outcome: JobOutcome) => outcomes.push(outcome) };
  const bus = await cleanup.bus(server.url, { observer });
  const leave = new AbortController();
  const [begun, gate] = [deferred(), deferred()];
  const aborted: boolean[] = [];
  const working = bus.work(encodeQueue, {
    slots: 1,
    signal: leave.signal,
    overdue: cleanup.signal(),
    handler: async (_, { signal }) => {
      begun.resolve();
      await gate.promise;
      aborted.push(signal.aborted);
    },
  });
  await bus.publish(encodeQueue, encodeJob('a'), toNobody());
  await begun.promise;
  leave.abort();
  // Another gets what comes from now on, so the worker has closed its door.
  const others: string[] = [];
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async ({ key }) => {
      others.push(key?.requestId ?? '');
    },
  });
  await bus.publish(encodeQueue, encodeJob('b'), toNobody());
  await eventually(() => outcomes.length > 0, 'the next one is done');
  expect(others).toEqual(['b']);
  gate.resolve();
  await working;
  expect([outcomes, aborted]).toEqual([['done', 'done'], [false]]);
});

test.each([
  ['before it is overdue', ['leave', 'overdue']],
  ['when it is overdue', ['overdue', 'leave']],
] as const)('what a worker that is told to leave %s cannot finish goes to another one at once', async (_, order) => {
  const prefix = newId('t');
  const limits = { ackWaitMs: 600_000 };
  const [one, other] = [
    await cleanup.bus(server.url, { prefix, limits }),
    await cleanup.bus(server.url, { prefix, limits }),
  ];
  const [leave, overdue] = [new AbortController(), new AbortController()];
  const begun = deferred();
  const working = one.work(encodeQueue, {
    slots: 2,
    signal: leave.signal,
    overdue: overdue.signal,
    // Heeds no signal.
    handler: () => {
      begun.resolve();
      return new Promise<void>(() => {});
    },
  });
  await one.publish(encodeQueue, encodeJob('long', 0), toNobody());
  await begun.promise;
  const [first, second] = order.map((what) => (what === 'leave' ? leave : overdue));
  first?.abort();
  const done = deferred<number>();
  void other.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (_, { deliveries }) => done.resolve(deliveries),
  });
  second?.abort();
  await working;
  expect(await done.promise).toBe(2);
  await eventually(async () => (await other.queueDepths())[0]?.running === 0, 'it is done once');
});
