import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { JobOutcome } from './bus-options.js';
import { Cleanup, counted, eventually, inAMinute, jobKey, newId } from './bus-test-support.js';
import { type NatsServer, startNatsServer } from './nats-server.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

async function messagesOf(prefix: string): Promise<number> {
  const nc = await connect({ servers: server.url });
  try {
    const jsm = await jetstreamManager(nc);
    const kinds = ['encode', 'connect', 'generate', 'features', 'tokens', 'media'];
    const infos = await Promise.all(kinds.map((kind) => jsm.streams.info(`${prefix}_${kind}`)));
    return infos.reduce((sum, { state }) => sum + state.messages, 0);
  } finally {
    await nc.close();
  }
}

function drawing(requestId: string) {
  return { key: jobKey(requestId), condition: undefined, options: undefined };
}

test('cancel removes what is queued and what was made, of this request only', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const options = { deadlineMs: inAMinute(), timings: [] };
  for (const id of ['a', 'b']) {
    await bus.publishJob('generate', drawing(id), options);
    await bus.publishTensor('features', jobKey(id), 0, counted(1, 8), options);
    await bus.publishTensor('tokens', jobKey(id), 0, counted(1, 8), options);
    await bus.publishMediaEvent({ key: jobKey(id), event: undefined, sequence: 0, timing: undefined }, options);
  }
  expect(await messagesOf(prefix)).toBe(8);
  await bus.cancel('a');
  expect(await messagesOf(prefix)).toBe(4);
  const done: (string | undefined)[] = [];
  void bus.work('generate', {
    slots: 2,
    signal: cleanup.signal(),
    handler: async (job) => {
      done.push(job.key?.requestId);
    },
  });
  await eventually(() => done.length > 0, 'the other request is served');
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
  void stage.work('generate', {
    slots: 1,
    signal: cleanup.signal(),
    handler: (_job, { signal }) => {
      running = true;
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
  });
  await gateway.publishJob('generate', drawing('a'), { deadlineMs: inAMinute() });
  await eventually(() => running, 'the job runs');
  await gateway.cancel('a');
  await eventually(() => outcomes.length === 1, 'the job ends');
  expect(outcomes).toEqual(['cancelled']);
  expect(await messagesOf(prefix)).toBe(0);
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
  await expect(late.publishJob('generate', drawing('a'), { deadlineMs: inAMinute() })).rejects.toMatchObject({
    code: 'CANCELLED',
  });
  const unaware = await cleanup.bus(server.url, { prefix });
  await unaware.publishJob('generate', drawing('a'), { deadlineMs: inAMinute() });
  let runs = 0;
  void stage.work('generate', {
    slots: 1,
    signal: cleanup.signal(),
    handler: async () => {
      runs++;
    },
  });
  await eventually(() => outcomes.length === 1, 'the job is seen');
  expect(outcomes).toEqual(['cancelled']);
  expect(runs).toBe(0);
  expect(await messagesOf(prefix)).toBe(0);
});

test('work that began while the tombstone was looked for is stopped, and nothing it made gets out', async () => {
  const prefix = newId('t');
  const gateway = await cleanup.bus(server.url, { prefix });
  await gateway.cancel('a');
  const unaware = await cleanup.bus(server.url, { prefix });
  await unaware.publishJob('generate', drawing('a'), { deadlineMs: inAMinute() });
  const outcomes: JobOutcome[] = [];
  const stage = await cleanup.bus(server.url, {
    prefix,
    observer: { jobEnded: (_kind, outcome) => outcomes.push(outcome) },
  });
  let began = 0;
  let published = 0;
  void stage.work('generate', {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (_job, { deadlineMs }) => {
      began++;
      await stage.publishTensor('tokens', jobKey('a'), 0, counted(1, 8), { deadlineMs, timings: [] });
      published++;
    },
  });
  await eventually(() => outcomes.length === 1, 'the job is seen');
  expect({ began, published, outcomes }).toEqual({ began: 1, published: 0, outcomes: ['cancelled'] });
  expect(await messagesOf(prefix)).toBe(0);
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

test('a normal end removes what is left, and the request is not cancelled', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  await bus.publishTensor('tokens', jobKey('a'), 0, counted(1, 8), { deadlineMs: inAMinute(), timings: [] });
  await bus.publishTensor('features', jobKey('a'), 0, counted(1, 8), { deadlineMs: inAMinute(), timings: [] });
  await bus.finish('a');
  expect(await messagesOf(prefix)).toBe(0);
  expect(await bus.isCancelled('a')).toBe(false);
});
