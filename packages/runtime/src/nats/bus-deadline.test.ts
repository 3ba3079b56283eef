import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Cleanup, encodeJob, eventually, inAMinute, take } from './bus-test-support.js';
import { type NatsServer, startNatsServer } from './nats-server.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

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
