import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { encodeQueue, visualTokens } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { counted, encodeJob, inAMinute, jobKey, sendTokens, toNobody } from '../testing/messages.js';
import { Cleanup, newId } from '../testing/test-bus.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

/** Listens to the pull requests of a prefix; returns how many there were. */
async function pullRequests(prefix: string): Promise<() => number> {
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  let count = 0;
  nc.subscribe('$JS.API.CONSUMER.MSG.NEXT.>', {
    callback: (_, message) => {
      if (message.subject.includes(`.${prefix}_`)) count++;
    },
  });
  await nc.flush();
  return () => count;
}

test('an inbox asks for many messages at a time, though they come one by one', async () => {
  const prefix = newId('t');
  const asked = await pullRequests(prefix);
  const bus = await cleanup.bus(server.url, { prefix });
  const inbox = await bus.openInbox(visualTokens);
  let tiles = 0;
  const reading = (async () => {
    for await (const news of inbox.receive('a', cleanup.signal())) if (news.kind === 'tensor') tiles++;
  })();
  void reading;
  const options = { deadlineMs: inAMinute(), deliverTo: inbox.address, timings: [] };
  for (let tile = 0; tile < 200; tile++) {
    await sendTokens(bus, jobKey('a'), tile, counted(1, 4), options);
    await eventually(() => tiles === tile + 1, 'the tile is here');
  }
  expect(asked()).toBeLessThanOrEqual(200 / 32 + 2);
});

test('a worker asks for several jobs at a time, and few of its requests wait on the queue', async () => {
  const prefix = newId('t');
  const asked = await pullRequests(prefix);
  const bus = await cleanup.bus(server.url, { prefix });
  let done = 0;
  void bus.work(encodeQueue, {
    slots: 8,
    signal: cleanup.signal(),
    handler: async () => {
      done++;
    },
  });
  for (let tile = 0; tile < 80; tile++) {
    await bus.publish(encodeQueue, encodeJob('a', tile), toNobody());
    await eventually(() => done === tile + 1, 'the job is done');
  }
  expect(asked()).toBeLessThanOrEqual(80 / 4 + 2);
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  const queue = await (await jetstreamManager(nc)).consumers.info(`${prefix}_v2_encode_r1`, 'workers');
  expect(queue.num_waiting).toBeLessThanOrEqual(4);
});
