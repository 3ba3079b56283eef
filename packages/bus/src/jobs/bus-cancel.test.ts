import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { encodeQueue, generateQueue } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { counted, encodeJob, jobKey, sendTokens, toNobody } from '../testing/messages.js';
import { Cleanup, newId } from '../testing/test-bus.js';
import type { JobOutcome } from './job-outcome.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

async function messagesOf(prefix: string, names: readonly string[]): Promise<number> {
  const nc = await connect({ servers: server.url });
  try {
    const jsm = await jetstreamManager(nc);
    const infos = await Promise.all(names.map((name) => jsm.streams.info(`${prefix}_v2_${name}`)));
    return infos.reduce((sum, { state }) => sum + state.messages, 0);
  } finally {
    await nc.close();
  }
}

const queues = ['encode_r1', 'connect_r1', 'generate_r1'];

function drawing(requestId: string) {
  return { key: jobKey(requestId), condition: undefined, options: undefined };
}

test('what a cancelled request left in a queue is thrown away unseen, and the others are served', async () => {
  const prefix = newId('t');
  const outcomes: JobOutcome[] = [];
  const bus = await cleanup.bus(server.url, {
    prefix,
    observer: { jobEnded: (_kind, outcome) => outcomes.push(outcome) },
  });
  for (const id of ['a', 'b']) await bus.publish(generateQueue, drawing(id), toNobody());
  await bus.cancel('a');
  const done: (string | undefined)[] = [];
  void bus.work(generateQueue, {
    slots: 2,
    signal: cleanup.signal(),
    handler: async (job) => {
      done.push(job.key?.requestId);
    },
  });
  await eventually(() => outcomes.length === 2, 'both are seen');
  expect(done).toEqual(['b']);
  expect(outcomes.toSorted()).toEqual(['cancelled', 'done']);
  await eventually(async () => (await messagesOf(prefix, queues)) === 0, 'the queue is empty');
});

test('a job that is withdrawn leaves its queue at once, and no other', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const first = await bus.publish(encodeQueue, encodeJob('a'), toNobody());
  await bus.publish(encodeQueue, encodeJob('b'), toNobody());
  await bus.withdraw(first);
  await bus.withdraw(first);
  expect(await messagesOf(prefix, queues)).toBe(1);
  const done: (string | undefined)[] = [];
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (job) => {
      done.push(job.key?.requestId);
    },
  });
  await eventually(() => done.length > 0, 'the other is served');
  expect(done).toEqual(['b']);
});

test('cancel stops the job at work in another process, without a word', async () => {
  const prefix = newId('t');
  const outcomes: JobOutcome[] = [];
  const gateway = await cleanup.bus(server.url, { prefix });
  const stage = await cleanup.bus(server.url, {
    prefix,
    observer: { jobEnded: (_kind, outcome) => outcomes.push(outcome) },
  });
  let running = false;
  void stage.work(generateQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: (_job, { signal }) => {
      running = true;
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
  });
  await gateway.publish(generateQueue, drawing('a'), toNobody());
  await eventually(() => running, 'the job runs');
  await gateway.cancel('a');
  await eventually(() => outcomes.length === 1, 'the job ends');
  expect(outcomes).toEqual(['cancelled']);
  await eventually(async () => (await messagesOf(prefix, queues)) === 0, 'the queue is empty');
  expect(await messagesOf(prefix, ['drawings_0'])).toBe(0);
});

test('a tombstone catches a worker that did not hear the cancel, and jobs that come after it', async () => {
  const prefix = newId('t');
  const gateway = await cleanup.bus(server.url, { prefix });
  const late = await cleanup.bus(server.url, { prefix });
  await gateway.cancel('a');
  const outcomes: JobOutcome[] = [];
  const stage = await cleanup.bus(server.url, {
    prefix,
    observer: { jobEnded: (_kind, outcome) => outcomes.push(outcome) },
  });
  expect(await stage.isCancelled('a')).toBe(true);
  expect(await stage.isCancelled('b')).toBe(false);
  // A process that knows refuses; one that does not know yet is stopped by the tombstone.
  await eventually(() => late.isCancelled('a'), 'the other process knows');
  await expect(late.publish(generateQueue, drawing('a'), toNobody())).rejects.toMatchObject({ code: 'CANCELLED' });
  const unaware = await cleanup.bus(server.url, { prefix });
  await unaware.publish(generateQueue, drawing('a'), toNobody());
  let runs = 0;
  void stage.work(generateQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async () => {
      runs++;
    },
  });
  await eventually(() => outcomes.length === 1, 'the job is seen');
  expect(outcomes).toEqual(['cancelled']);
  expect(runs).toBe(0);
  await eventually(async () => (await messagesOf(prefix, queues)) === 0, 'the queue is empty');
});

test('work that began while the tombstone was looked for is stopped, and nothing it made gets out', async () => {
  const prefix = newId('t');
  const gateway = await cleanup.bus(server.url, { prefix });
  await gateway.cancel('a');
  const unaware = await cleanup.bus(server.url, { prefix });
  await unaware.publish(generateQueue, drawing('a'), toNobody());
  const outcomes: JobOutcome[] = [];
  const stage = await cleanup.bus(server.url, {
    prefix,
    observer: { jobEnded: (_kind, outcome) => outcomes.push(outcome) },
  });
  let began = 0;
  let published = 0;
  void stage.work(generateQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (_job, { deadlineMs, deliverTo }) => {
      began++;
      await sendTokens(stage, jobKey('a'), 0, counted(1, 8), { deadlineMs, deliverTo, timings: [] });
      published++;
    },
  });
  await eventually(() => outcomes.length === 1, 'the job is seen');
  expect({ began, published, outcomes }).toEqual({ began: 1, published: 0, outcomes: ['cancelled'] });
  expect(await messagesOf(prefix, ['tokens_0'])).toBe(0);
});

test('tombstones are never too many: the oldest make room', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix, limits: { maxTombstoneBytes: 4096 } });
  for (let index = 0; index < 200; index++) await bus.cancel(`r${index}`);
  const stage = await cleanup.bus(server.url, { prefix, limits: { maxTombstoneBytes: 4096 } });
  expect(await stage.isCancelled('r199')).toBe(true);
  expect(await stage.isCancelled('r0')).toBe(false);
});

test('listeners hear of cancels until they leave', async () => {
  const prefix = newId('t');
  const [gateway, engine] = await Promise.all([1, 2].map(() => cleanup.bus(server.url, { prefix })));
  const heard: string[] = [];
  const leave = engine?.onCancel((requestId) => heard.push(requestId));
  await gateway?.cancel('a');
  await eventually(() => heard.length === 1, 'the cancel is heard');
  leave?.();
  await gateway?.cancel('b');
  await eventually(() => engine?.isCancelled('b') ?? false, 'the second is known');
  expect(heard).toEqual(['a']);
});
