import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Bus } from './bus.js';
import { Cleanup, newId, smallStreams } from './bus-test-support.js';
import { type NatsServer, startNatsServer } from './nats-server.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

async function manager() {
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  return jetstreamManager(nc);
}

test('many processes set up at once, and again, and all is as planned', async () => {
  const prefix = newId('t');
  const options = { url: server.url, prefix, revision: 'r1', name: 'test', limits: smallStreams };
  const buses = await Promise.all(Array.from({ length: 8 }, () => Bus.connect(options)));
  for (const bus of buses) cleanup.add(() => bus.close());
  await Promise.all(buses.map((bus) => bus.setup()));
  await buses[0]?.setup();
  const jsm = await manager();
  const encode = await jsm.streams.info(`${prefix}_encode`);
  expect(encode.config).toMatchObject({
    retention: 'workqueue',
    storage: 'memory',
    discard: 'new',
    max_bytes: smallStreams.maxBytes?.encode,
    num_replicas: 1,
  });
  expect((await jsm.streams.info(`${prefix}_tokens`)).config).toMatchObject({
    retention: 'limits',
    allow_direct: true,
  });
  const consumer = await jsm.consumers.info(`${prefix}_encode`, 'rev_r1');
  expect(consumer.config).toMatchObject({ ack_policy: 'explicit', filter_subject: `${prefix}.encode.r1.>` });
});

test('changed limits are applied to what is there', async () => {
  const prefix = newId('t');
  await cleanup.bus(server.url, { prefix });
  await cleanup.bus(server.url, { prefix, limits: { maxJobs: 7, ackWaitMs: 12_000 } });
  const jsm = await manager();
  expect((await jsm.streams.info(`${prefix}_encode`)).config.max_msgs).toBe(7);
  expect((await jsm.consumers.info(`${prefix}_encode`, 'rev_r1')).config.ack_wait).toBe(12_000 * 1e6);
});

test('a stream of that name that cannot become ours is a clear error', async () => {
  const prefix = newId('t');
  const jsm = await manager();
  await jsm.streams.add({ name: `${prefix}_encode`, subjects: [`${prefix}.encode.>`], storage: 'file' });
  await expect(cleanup.bus(server.url, { prefix })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(`stream ${prefix}_encode`),
  });
});

test('limits beyond the memory of the server are refused with the sum that is needed', async () => {
  const limits = { maxBlobBytes: 2 ** 40 };
  await expect(cleanup.bus(server.url, { limits })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('max_mem'),
  });
});

test('two revisions share the streams, each with a consumer of its own', async () => {
  const prefix = newId('t');
  await cleanup.bus(server.url, { prefix, revision: 'r1' });
  await cleanup.bus(server.url, { prefix, revision: 'r2' });
  const jsm = await manager();
  const names = await jsm.consumers.list(`${prefix}_connect`).next();
  expect(names.map(({ name }) => name).sort()).toEqual(['rev_r1', 'rev_r2']);
});

test('names that could not stand in a subject are refused', async () => {
  const options = { url: server.url, name: 'test' };
  for (const [prefix, revision] of [
    ['a.b', 'r1'],
    ['*', 'r1'],
    ['', 'r1'],
    ['a', 'r 1'],
    ['a', '>'],
  ] as const) {
    await expect(Bus.connect({ ...options, prefix, revision })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  }
});
