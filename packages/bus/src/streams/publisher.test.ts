import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { encodeQueue } from '@tessera/protocol';
import { memoryLog } from '@tessera/service/testing/memory-log';
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

async function manager() {
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  return jetstreamManager(nc);
}

test('a queue that was deleted is made again by whoever sends a job to it', async () => {
  const prefix = newId('t');
  const bus = await cleanup.bus(server.url, { prefix });
  await (await manager()).streams.delete(`${prefix}_v2_encode_r1`);
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
  const { streams } = await manager();
  // Which the client's type does not have.
  const sealed: object = { sealed: true };
  await streams.update(stream, sealed);
  await expect(sending(2, 1000)).rejects.toMatchObject({
    code: 'STAGE_UNAVAILABLE',
    message: expect.stringContaining('sealed'),
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
