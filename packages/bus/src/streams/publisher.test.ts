import { type JetStreamApiError, jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { encodeQueue, maxBytesOf } from '@tessera/protocol';
import { memoryLog } from '@tessera/service/testing/memory-log';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Bus } from '../bus.js';
import { limitedAccount } from '../testing/limited-account.js';
import { encodeJob, toNobody } from '../testing/messages.js';
import { Cleanup, newId } from '../testing/test-bus.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

test('a queue that was deleted is made again by whoever sends a job to it', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  await (await cleanup.manager(server.url)).streams.delete(`${prefix}_v2_encode_r1`);
  await bus.publish(encodeQueue, encodeJob('a'), toNobody());
  expect((await bus.queueDepths())[0]).toMatchObject({ kind: 'encode', waiting: 1 });
});

test('what its stream refuses for good is told at once, by what is wrong with it', async () => {
  const prefix = newId('t');
  const coarse = await cleanup.bus(server.url, { prefix });
  // The last to start says what the streams take.
  await cleanup.bus(server.url, { prefix, limits: { partBytes: 4096 } });
  const stream = `${prefix}_v2_encode_r1`;
  const sending = (tile: number, bytes: number) => coarse.publish(encodeQueue, encodeJob('a', tile, bytes), toNobody());
  await expect(sending(0, 100_000)).rejects.toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
    message: expect.stringContaining(`stream ${stream} refuses a message of`),
  });
  await sending(1, 1000);
  const { streams } = await cleanup.manager(server.url);
  // Which the client's type does not have.
  const sealed: object = { sealed: true };
  await streams.update(stream, sealed);
  await expect(sending(2, 1000)).rejects.toMatchObject({
    code: 'STAGE_UNAVAILABLE',
    message: expect.stringContaining('sealed'),
  });
});

test('a sender whose stream was deleted, and cannot be made again, is told why', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  const { streams } = await cleanup.manager(server.url);
  await streams.delete(`${prefix}_v2_encode_r1`);
  await streams.add({
    name: newId('other'),
    subjects: [`${prefix}.v2.encode.r1.other.>`],
    storage: StorageType.Memory,
  });
  await expect(bus.publish(encodeQueue, encodeJob('a'), toNobody())).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining(`refuses stream ${prefix}_v2_encode_r1: subjects overlap`),
  });
});

test('that a stream is full is said once, not at each refusal', async () => {
  const { log, lines } = memoryLog();
  const bus = await cleanup.bus(server.url, { log, limits: { maxJobs: 1, queueWaitMs: 50 } });
  await bus.publish(encodeQueue, encodeJob('a', 0), toNobody());
  for (const tile of [1, 2, 3]) {
    const refused = bus.publish(encodeQueue, encodeJob('a', tile), toNobody());
    await expect(refused).rejects.toMatchObject({ code: 'QUEUE_FULL', options: { stage: 'encoder' } });
  }
  expect(lines.filter(({ msg }) => String(msg).startsWith('a stream is full'))).toHaveLength(1);
});

test("memory of the server's account that others have used up is waited for, as room on a stream is", async () => {
  const account = await limitedAccount(cleanup, 'max_mem: 20MB, max_file: 0, max_streams: -1, max_consumers: -1');
  let full = 0;
  const bus = await Bus.connect({
    ...account,
    prefix: 't',
    revision: 'r1',
    name: 'test',
    limits: { maxBytes: maxBytesOf(() => 1e6), maxTombstoneBytes: 1e6, queueWaitMs: 600_000 },
    observer: { queueFull: () => full++ },
  });
  cleanup.add(() => bus.close());
  await bus.setup();
  const nc = await connect({ servers: account.url, user: account.user, pass: account.password });
  cleanup.add(() => nc.close());
  const { streams } = await jetstreamManager(nc);
  await streams.add({ name: 'others', subjects: ['others'], storage: StorageType.Memory });
  for (const bytes of [500_000, 5000]) {
    const filled = async (): Promise<boolean> => {
      const refused = jetstream(nc).publish('others', new Uint8Array(bytes));
      return await refused.then(
        () => false,
        (reason: JetStreamApiError) => reason.code === 10_002,
      );
    };
    while (!(await filled()));
  }
  const waiting = bus.publish(encodeQueue, encodeJob('a', 0, 100_000), toNobody());
  await Promise.race([waiting, eventually(() => full > 0, 'there is no room')]);
  await streams.purge('others');
  await waiting;
  expect([full, (await bus.queueDepths())[0]?.waiting]).toEqual([1, 1]);
});
