import { setImmediate } from 'node:timers/promises';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { encodeQueue, TesseraError, visualTokens } from '@tessera/protocol';
import { take } from '@tessera/testing/async/collect';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { JobOutcome } from './jobs/job-outcome.js';
import { encodeJob, inAMinute, nobody } from './testing/messages.js';
import { Cleanup } from './testing/test-bus.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

test('a job that is surely late is not begun', async () => {
  const bus = await cleanup.bus(server.url, { limits: { clockMarginMs: 200 } });
  const inbox = await bus.openInbox(visualTokens);
  await bus.publish(encodeQueue, encodeJob('a'), { deadlineMs: Date.now() + 100, deliverTo: inbox.address });
  await new Promise((resolve) => setTimeout(resolve, 400));
  let runs = 0;
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async () => {
      runs++;
    },
  });
  const [failure] = await take(inbox.receive('a', cleanup.signal()), 1);
  expect(failure).toMatchObject({ kind: 'failure', code: 'DEADLINE_EXCEEDED' });
  expect(runs).toBe(0);
});

test.each([
  ['says so', (reason: unknown) => reason],
  ['says that its engine is away', () => new TesseraError('STAGE_UNAVAILABLE', 'the engine was stopped')],
])('a job past its deadline is stopped, and not tried again when its handler %s', async (_, ending) => {
  const outcomes: JobOutcome[] = [];
  const observer = { jobEnded: (_kind: string, outcome: JobOutcome) => outcomes.push(outcome) };
  const bus = await cleanup.bus(server.url, { limits: { clockMarginMs: 200, retryDelayMs: 1 }, observer });
  const inbox = await bus.openInbox(visualTokens);
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: (_job, { signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(ending(signal.reason)))),
  });
  await bus.publish(encodeQueue, encodeJob('a'), { deadlineMs: Date.now() + 2000, deliverTo: inbox.address });
  const [failure] = await take(inbox.receive('a', cleanup.signal()), 1);
  expect(failure).toMatchObject({ kind: 'failure', code: 'DEADLINE_EXCEEDED', stage: 'encoder' });
  await eventually(() => outcomes.length > 0, 'it is settled');
  expect(outcomes).toEqual(['late']);
});

test('a job whose deadline passed by less than the clocks may differ is done as if it had not', async () => {
  const outcomes: JobOutcome[] = [];
  const observer = { jobEnded: (_kind: string, outcome: JobOutcome) => outcomes.push(outcome) };
  const bus = await cleanup.bus(server.url, { limits: { clockMarginMs: 3_600_000 }, observer });
  const aborted: boolean[] = [];
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    expectedMs: () => 1000,
    handler: async (_job, { signal }) => {
      await setImmediate();
      aborted.push(signal.aborted);
    },
  });
  await bus.publish(encodeQueue, encodeJob('a'), { deadlineMs: Date.now() - 60_000, deliverTo: nobody });
  await eventually(() => outcomes.length === 1, 'it ends');
  expect([outcomes, aborted]).toEqual([['done'], [false]]);
});

test('trace context and deadline cross the queue', async () => {
  const deadlineMs = inAMinute();
  const seen: unknown[] = [];
  const bus = await cleanup.bus(server.url, {
    trace: {
      inject: () => '00-11111111111111111111111111111111-2222222222222222-01',
      send: (_job, publish) => publish(),
      continue: (traceparent, { kind, requestId, deliveries }, run) => {
        seen.push(traceparent, `${kind} ${requestId} ${deliveries}`);
        return run();
      },
    },
  });
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (_job, context) => {
      seen.push(context.deadlineMs);
    },
  });
  await bus.publish(encodeQueue, encodeJob('a'), { deadlineMs, deliverTo: nobody });
  await eventually(() => seen.length === 3, 'the job ran');
  expect(seen).toEqual(['00-11111111111111111111111111111111-2222222222222222-01', 'encode a 1', deadlineMs]);
});

test('a job that its deadline leaves no time for is not begun', async () => {
  const bus = await cleanup.bus(server.url, { limits: { clockMarginMs: 200 } });
  const inbox = await bus.openInbox(visualTokens);
  const begun: number[] = [];
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    expectedMs: (job) => (job.firstTile === 0 ? 3_600_000 : 1),
    handler: async (job) => {
      begun.push(job.firstTile);
    },
  });
  const options = { deadlineMs: inAMinute(), deliverTo: inbox.address };
  await bus.publish(encodeQueue, encodeJob('a', 0), options);
  await bus.publish(encodeQueue, encodeJob('a', 1), options);
  const [failure] = await take(inbox.receive('a', cleanup.signal()), 1);
  expect(failure).toMatchObject({ tile: 0, code: 'DEADLINE_EXCEEDED' });
  await eventually(() => begun.length === 1, 'the other one is done');
  expect(begun).toEqual([1]);
});
