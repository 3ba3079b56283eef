import { createHash, randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { connectQueue, generateQueue, TesseraError, visualTokens } from '@tessera/protocol';
import { Metrics } from '@tessera/service';
import { take } from '@tessera/testing/async/collect';
import { deferred } from '@tessera/testing/async/deferred';
import { eventually } from '@tessera/testing/async/eventually';
import { afterEach, expect, test } from 'vitest';
import type { Bus } from './bus.js';
import { counted, jobKey, nobody, sendTokens, toNobody } from './testing/messages.js';
import { Cleanup, newId } from './testing/test-bus.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** A server that can be killed and started again on its port, without its memory. */
async function restartable() {
  let server: NatsServer = await startNatsServer();
  cleanup.add(() => server.stop());
  return {
    url: server.url,
    async kill() {
      process.kill(server.pid, 'SIGKILL');
      await server.exited;
      await server.stop();
    },
    async start() {
      server = await startNatsServer({ port: Number(new URL(server.url).port) });
    },
  };
}

function drawing(requestId: string, attempt = 1) {
  return { key: jobKey(requestId, attempt), condition: undefined, options: undefined };
}

async function gone(...buses: Bus[]): Promise<void> {
  await eventually(() => buses.every((bus) => !bus.isOnline), 'the loss is noticed');
}

test('after a restart workers, readers and senders go on by themselves', async () => {
  const server = await restartable();
  const prefix = newId('t');
  const metrics = new Metrics();
  const gateway = await cleanup.bus(server.url, { prefix, metrics });
  const stage = await cleanup.bus(server.url, { prefix });
  const engine = await cleanup.bus(server.url, { prefix });
  const done: string[] = [];
  void stage.work(generateQueue, {
    slots: 2,
    signal: cleanup.signal(),
    handler: async (job) => {
      done.push(`${job.key?.requestId}/${job.key?.attempt}`);
    },
  });
  const tiles: string[] = [];
  const inbox = await engine.openInbox(visualTokens);
  const reading = (async () => {
    for await (const event of inbox.receive('a', cleanup.signal())) tiles.push(`${event.tile}/${event.attempt}`);
  })();
  const options = () => ({ ...toNobody(), deliverTo: inbox.address, timings: [] });
  await gateway.publish(generateQueue, drawing('before'), toNobody());
  for (let tile = 0; tile < 3; tile++) {
    await sendTokens(stage, jobKey('a'), tile, counted(1, 8), options());
  }
  await eventually(() => done.length === 1 && tiles.length === 3, 'all goes well before');

  await server.kill();
  await gone(gateway, stage, engine);
  const sending = gateway.publish(generateQueue, drawing('during'), toNobody());
  await server.start();
  await sending;
  await gateway.publish(generateQueue, drawing('after'), toNobody());
  await eventually(() => done.length === 3, 'the worker pulls again');
  expect(done).toEqual(['before/1', 'during/1', 'after/1']);

  // The new stream counts from 1 again, and its consumer is another.
  await sendTokens(stage, jobKey('a', 2), 1, counted(1, 8), options());
  await sendTokens(stage, jobKey('a', 2), 3, counted(1, 8), options());
  await eventually(() => tiles.length === 4, 'the reader reads again');
  expect(tiles).toEqual(['0/1', '1/1', '2/1', '3/2']);
  expect(await metrics.registry.metrics()).toContain('tessera_nats_reconnects_total 1');
  await cleanup.run();
  await reading;
});

test('cancel, media and engines work again after a restart', async () => {
  const server = await restartable();
  const prefix = newId('t');
  const gateway = await cleanup.bus(server.url, { prefix });
  const other = await cleanup.bus(server.url, { prefix });
  const directory = gateway.watchEngines(cleanup.signal());
  const engine = {
    engineId: 'one',
    address: 'localhost:1',
    running: 0,
    waiting: 0,
    maxWaiting: 1,
    draining: false,
    contextTokens: 1,
    maxRunning: 1,
    inbox: '0-abcdefgh',
  };
  other.announce(() => engine, cleanup.signal());
  const bytes = new Uint8Array(randomBytes(1_000_000));
  const digest = createHash('sha256').update(bytes).digest('hex');
  const hold = gateway.holdMedia(bytes, digest);
  const blob = await hold.blob(toNobody());
  await gateway.cancel('a');
  await eventually(() => directory.list().length === 1, 'the engine is known');

  await server.kill();
  await gone(gateway, other);
  expect(directory.list()).toHaveLength(1);
  await server.start();
  await eventually(() => gateway.isOnline && other.isOnline, 'both are back');
  await eventually(async () => (await gateway.queueDepths()).length === 3, 'the queues are there again');
  await expect(other.getMedia(blob, cleanup.signal())).rejects.toMatchObject({ code: 'STAGE_UNAVAILABLE' });
  const again = await hold.blob(toNobody());
  expect(Buffer.compare(await other.getMedia(again, cleanup.signal()), bytes)).toBe(0);
  await gateway.cancel('b');
  await eventually(() => other.isCancelled('b'), 'the cancel arrives');
  expect(await (await cleanup.bus(server.url, { prefix })).isCancelled('b')).toBe(true);
  expect(directory.list()).toHaveLength(1);
});

test('a sender whose deadline passes while NATS is away is told so', async () => {
  const server = await restartable();
  const bus = await cleanup.bus(server.url, { limits: { clockMarginMs: 100 } });
  await server.kill();
  await gone(bus);
  const late = await bus
    .publish(generateQueue, drawing('a'), { ...toNobody(), deadlineMs: Date.now() + 200 })
    .catch((e) => e);
  expect(late).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  expect(late.message).toContain('NATS');
  const controller = new AbortController();
  const waiting = bus.publish(generateQueue, drawing('b'), { ...toNobody(), signal: controller.signal });
  controller.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' });
});

test('while NATS is away nothing that could wait is asked of it', async () => {
  const server = await restartable();
  const bus = await cleanup.bus(server.url, { limits: { partBytes: 1024 } });
  const job = await bus.publish(generateQueue, drawing('a'), toNobody());
  const features = await bus.storeTensor(jobKey('a'), 0, counted(100, 64), toNobody());
  await server.kill();
  await gone(bus);
  const connect = { key: jobKey('a'), tile: 0, features, encoder: undefined };
  const late = bus.publish(connectQueue, connect, { ...toNobody(), signal: AbortSignal.abort() });
  const asked = {
    depths: bus.queueDepths(),
    states: bus.queueStates(),
    streams: bus.streamStates(),
    unattended: bus.unattendedQueues(),
    foreign: bus.hearForeignEngines(cleanup.signal()),
    looked: bus.lookForStreams(),
    withdrawn: bus.withdraw(job),
    removed: bus.removeInbox(visualTokens, nobody),
    // Whose features nobody will take.
    refused: late.catch(({ code }: TesseraError) => code),
  };
  const answers: Record<string, unknown> = {};
  for (const [what, answer] of Object.entries(asked)) void answer.then((given) => (answers[what] = given));
  // Nothing comes from a server in one turn.
  await setImmediate();
  expect(answers).toEqual({
    depths: [],
    states: [],
    streams: [],
    unattended: undefined,
    foreign: [],
    looked: undefined,
    withdrawn: undefined,
    removed: undefined,
    refused: 'CANCELLED',
  });
  expect(Object.keys(answers)).toHaveLength(Object.keys(asked).length);
});

test('who cancels a request while NATS is away knows it at once', async () => {
  const server = await restartable();
  const bus = await cleanup.bus(server.url);
  await server.kill();
  await gone(bus);
  const heard: string[] = [];
  bus.onCancel((requestId) => heard.push(requestId));
  const cancelling = bus.cancel('a');
  expect(heard).toEqual(['a']);
  expect(await bus.isCancelled('a')).toBe(true);
  await expect(bus.publish(generateQueue, drawing('a'), toNobody())).rejects.toMatchObject({ code: 'CANCELLED' });
  await bus.close();
  await cancelling;
});

test('a worker drains and a bus closes while NATS is away', async () => {
  const server = await restartable();
  const bus = await cleanup.bus(server.url);
  const drain = new AbortController();
  const working = bus.work(generateQueue, { slots: 2, signal: drain.signal, handler: async () => {} });
  const inbox = await bus.openInbox(visualTokens);
  const reading = take(inbox.receive('a', cleanup.signal()), 1);
  const readingEnds = expect(reading).rejects.toMatchObject({ code: 'DRAINING' });
  await server.kill();
  await gone(bus);
  drain.abort();
  await working;
  const pending = bus.publish(generateQueue, drawing('a'), toNobody());
  const refused = expect(pending).rejects.toMatchObject({ code: 'DRAINING' });
  await bus.close();
  await refused;
  await readingEnds;
});

test('what was delivered before a restart is not settled after it: the number is another job by now', async () => {
  const server = await restartable();
  const prefix = newId('t');
  const gateway = await cleanup.bus(server.url, { prefix });
  const outcomes: string[] = [];
  const stage = await cleanup.bus(server.url, {
    prefix,
    observer: { jobEnded: (_kind, outcome) => outcomes.push(outcome) },
  });
  const gates = { ack: deferred(), nak: deferred(), term: deferred() };
  const begun: string[] = [];
  const drain = new AbortController();
  const working = stage.work(generateQueue, {
    slots: 3,
    signal: drain.signal,
    handler: async (job) => {
      const how = job.key?.requestId as keyof typeof gates;
      begun.push(how);
      await gates[how].promise;
      if (how === 'nak') throw new TesseraError('STAGE_UNAVAILABLE', 'not now');
      if (how === 'term') throw new TesseraError('MEDIA_CORRUPT', 'never');
    },
  });
  for (const how of ['ack', 'nak', 'term']) await gateway.publish(generateQueue, drawing(how), toNobody());
  await eventually(() => begun.length === 3, 'the old server has given its jobs away');
  await server.kill();
  await gone(gateway, stage);
  await server.start();
  await eventually(() => gateway.isOnline && stage.isOnline, 'both are back');
  // The worker holds three jobs of the old server, and takes no more.
  drain.abort();
  for (const id of ['x', 'y', 'z']) await gateway.publish(generateQueue, drawing(id), toNobody());
  // The new jobs are in another worker's hands when the answers to the old ones come.
  const other = await cleanup.bus(server.url, { prefix });
  const done = deferred();
  const delivered: string[] = [];
  void other.work(generateQueue, {
    slots: 3,
    signal: cleanup.signal(),
    handler: async (job, { deliveries }) => {
      delivered.push(`${job.key?.requestId}/${deliveries}`);
      await done.promise;
    },
  });
  await eventually(() => delivered.length === 3, 'the new jobs are begun');
  for (const gate of Object.values(gates)) gate.resolve();
  await working;
  expect(outcomes.toSorted()).toEqual(['done', 'failed', 'retried']);
  expect((await gateway.queueDepths()).at(-1)).toMatchObject({ kind: 'generate', waiting: 0, running: 3 });
  expect(delivered.toSorted()).toEqual(['x/1', 'y/1', 'z/1']);
  done.resolve();
  await eventually(async () => (await gateway.queueDepths()).at(-1)?.running === 0, 'they end');
});
