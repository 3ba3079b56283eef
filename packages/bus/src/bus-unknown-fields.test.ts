import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { type EncodeJob, EngineStatus, encodeQueue } from '@tessera/protocol';
import { Metrics } from '@tessera/service';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { encodeJob, inAMinute } from './testing/messages.js';
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
  const status = EngineStatus.fromPartial({ engineId: 'newer', address: '127.0.0.1:1', maxRunning: 1 });
  bus.announce(() => ({ ...status, ...added }), cleanup.signal());
  await eventually(() => directory.ready.length === 1, 'the engine is known');
  expect(await metrics.registry.metrics()).toMatch(/unknown_fields_total\{message="engines"\} [1-9]/);
});
