import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import {
  drawingEvents,
  type EncodeJob,
  EngineStatus,
  ExpertShardStatus,
  encodeQueue,
  Failure,
  failurePart,
  generateQueue,
  Subjects,
  TesseraError,
} from '@tessera/protocol';
import { Metrics } from '@tessera/service';
import { take } from '@tessera/testing/async/collect';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { expertShards } from './shards/shard-kinds.js';
import { encodeJob, inAMinute, jobKey } from './testing/messages.js';
import { Cleanup, newId } from './testing/test-bus.js';

let server: NatsServer;
const cleanup = new Cleanup();
beforeAll(async () => {
  server = await startNatsServer();
});
afterAll(() => server?.stop());
afterEach(() => cleanup.run());

/** Field 99 with one byte, as ts-proto keeps it: what a newer release may add to any message. */
const added = { _unknownFields: { 794: [Uint8Array.of(1, 0x61)] } };

test("a newer release's job is done with what is known of it, and counted", async () => {
  const metrics = new Metrics();
  const bus = await cleanup.bus(server.url, { metrics });
  const deliverTo = '0-abcdefgh';
  const done: EncodeJob[] = [];
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async (job) => {
      done.push(job);
    },
  });
  const [plain, newer, inside] = [encodeJob(newId()), encodeJob(newId()), encodeJob(newId())];
  for (const job of [plain, { ...newer, ...added }, { ...inside, size: { width: 3, height: 4, ...added } }]) {
    await bus.publish(encodeQueue, job, { deadlineMs: inAMinute(), deliverTo });
  }
  await eventually(() => done.length === 3, 'all are done');
  expect(done.map(({ key }) => key?.requestId)).toEqual([plain, newer, inside].map(({ key }) => key?.requestId));
  expect(done[2]?.size).toMatchObject({ width: 3, height: 4 });
  expect(await metrics.registry.metrics()).toMatch(/unknown_fields_total\{message="encode"\} 2/);
});

test("a newer engine's announcement is heard, and counted", async () => {
  const metrics = new Metrics();
  const bus = await cleanup.bus(server.url, { metrics });
  const directory = bus.watchEngines(cleanup.signal());
  const status = EngineStatus.fromPartial({ engineId: 'plain', address: '127.0.0.1:1', maxRunning: 1 });
  bus.announce(() => status, cleanup.signal());
  await eventually(() => directory.ready.length === 1, 'the engine is known');
  expect(await metrics.registry.metrics()).not.toContain('message="engines"');
  bus.announce(() => ({ ...status, engineId: 'newer', ...added }), cleanup.signal());
  await eventually(() => directory.ready.length === 2, 'the newer one, too');
  expect(await metrics.registry.metrics()).toMatch(/unknown_fields_total\{message="engines"\} [1-9]/);
});

test("a newer shard's announcement is heard, and counted", async () => {
  const metrics = new Metrics();
  const bus = await cleanup.bus(server.url, { metrics });
  const told: string[] = [];
  bus.watchShards(expertShards, (shards) => told.push(...shards.map(({ shardId }) => shardId)), cleanup.signal());
  const holdings = { placementEpoch: 1, held: Buffer.of(1), draining: false };
  const status = ExpertShardStatus.fromPartial({ shardId: 'newer', address: '127.0.0.1:1', group: 'one' });
  bus.announceShard(expertShards, () => ({ ...status, holdings, ...added }), cleanup.signal());
  await eventually(() => told.includes('newer'), 'the shard is known');
  expect(await metrics.registry.metrics()).toMatch(/unknown_fields_total\{message="experts"\} [1-9]/);
});

test('what newer stages make, and say of what fails, is taken for what is known of it, and counted', async () => {
  const [prefix, metrics] = [newId('t'), new Metrics()];
  const bus = await cleanup.bus(server.url, { prefix, metrics });
  const inbox = await bus.openInbox(drawingEvents);
  const reading = take(inbox.receive('a', cleanup.signal()), 4);
  const to = { deadlineMs: inAMinute(), deliverTo: inbox.address };
  const event = { $case: 'progress', value: { step: 1, steps: 10 } } as const;
  const progress = { key: jobKey('a'), event, timing: undefined };
  await bus.send(drawingEvents, { ...progress, sequence: 0 }, to);
  await bus.send(drawingEvents, { ...progress, sequence: 1, ...added }, to);
  await bus.publishFailure(generateQueue, jobKey('a'), 0, new TesseraError('INTERNAL', 'plain'), to);
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  const at = { requestId: 'a', item: 0, tile: 0, part: failurePart } as const;
  const failure = { key: jobKey('a', 2), code: 'INTERNAL', message: 'newer', stage: 'generator', ...added };
  const subject = new Subjects(prefix, 'r1').product(drawingEvents, inbox.address, at);
  await jetstream(nc).publish(subject, Failure.encode(failure).finish());
  expect(await reading).toMatchObject([{ sequence: 0 }, { sequence: 1 }, { message: 'plain' }, { message: 'newer' }]);
  const counted = await metrics.registry.metrics();
  expect(counted).toMatch(/unknown_fields_total\{message="drawings"\} 1\n/);
  expect(counted).toMatch(/unknown_fields_total\{message="failures"\} 1\n/);
});
