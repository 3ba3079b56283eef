import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { encodeQueue, generateQueue } from '@tessera/protocol';
import { deferred } from '@tessera/testing/async/deferred';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { encodeJob, toNobody } from '../testing/messages.js';
import { Cleanup, newId } from '../testing/test-bus.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

test('a queue is unattended until somebody takes its jobs, and again when the last one has left', async () => {
  const prefix = newId('t');
  const gateway = await cleanup.bus(server.url, { prefix });
  expect([...((await gateway.unattendedQueues()) ?? [])]).toEqual(['encode', 'connect', 'generate']);
  const [one, other] = [await cleanup.bus(server.url, { prefix }), await cleanup.bus(server.url, { prefix })];
  const stops = [one, other].map((bus) => {
    const stop = new AbortController();
    const done = bus.work(encodeQueue, { slots: 1, signal: stop.signal, handler: async () => {} });
    return async () => {
      stop.abort();
      await done;
    };
  });
  await eventually(
    async () => (await gateway.unattendedQueues())?.has('encode') === false,
    'somebody takes encode jobs',
  );
  expect([...((await gateway.unattendedQueues()) ?? [])]).toEqual(['connect', 'generate']);
  await stops[0]?.();
  expect([...((await gateway.unattendedQueues()) ?? [])]).toEqual(['connect', 'generate']);
  await stops[1]?.();
  await eventually(async () => (await gateway.unattendedQueues())?.has('encode') === true, 'nobody takes encode jobs');
});

test('a worker that leaves counts until its last job has ended, for its job waits for nobody', async () => {
  const bus = await cleanup.bus(server.url);
  const worker = await cleanup.bus(server.url, { prefix: 'u' });
  const [begun, gate] = [deferred(), deferred()];
  const stop = new AbortController();
  const done = bus.work(encodeQueue, {
    slots: 1,
    signal: stop.signal,
    handler: async () => {
      begun.resolve();
      await gate.promise;
    },
  });
  await bus.publish(encodeQueue, encodeJob('a', 0), toNobody());
  await begun.promise;
  stop.abort();
  expect((await bus.unattendedQueues())?.has('encode')).toBe(false);
  expect((await worker.unattendedQueues())?.has('encode')).toBe(true);
  gate.resolve();
  await done;
  await eventually(async () => (await bus.unattendedQueues())?.has('encode') === true, 'it has left');
});

test('workers of another revision or deployment do not count; a dead one counts no more, whatever it held', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const otherRevision = await cleanup.bus(server.url, { prefix, revision: 'r2' });
  const idle = { slots: 1, signal: cleanup.signal(), handler: async () => {} };
  void otherRevision.work(generateQueue, idle);
  await eventually(async () => (await otherRevision.unattendedQueues())?.has('generate') === false, 'it works');
  expect((await bus.unattendedQueues())?.has('generate')).toBe(true);

  const dying = await cleanup.bus(server.url, { prefix });
  const begun = deferred();
  void dying.work(encodeQueue, { ...idle, handler: () => new Promise<void>(() => begun.resolve()) });
  await bus.publish(encodeQueue, encodeJob('a', 0), toNobody());
  await begun.promise;
  expect((await bus.unattendedQueues())?.has('encode')).toBe(false);
  await dying.close();
  await eventually(async () => (await bus.unattendedQueues())?.has('encode') === true, 'its connection is gone');
  expect((await bus.queueDepths())[0]).toMatchObject({ running: 1 });
  expect(await bus.hasQueued(encodeQueue, 'a')).toBe(true);
  expect(await bus.hasQueued(encodeQueue, 'b')).toBe(false);
});

test('while NATS is away nobody can say who is there', async () => {
  const nats = await startNatsServer();
  const gateway = await cleanup.bus(nats.url);
  expect(await gateway.unattendedQueues()).toBeDefined();
  await nats.stop();
  await eventually(async () => (await gateway.unattendedQueues()) === undefined, 'it does not say that all are there');
});
