import { AckPolicy, jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream';
import { connect, headers } from '@nats-io/transport-node';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { deferred } from '@tessera/testing/async/deferred';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { BusConnection } from '../connection/bus-connection.js';
import { Cleanup, newId } from '../testing/test-bus.js';
import { Puller } from './puller.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(async () => {
  vi.useRealTimers();
  await cleanup.run();
});
afterAll(() => server.stop());

/**
 * A puller on a stream of the test's own. The server delivers what the test puts there; how requests end the test says
 * itself, in the server's place.
 */
async function pulling(restore: () => Promise<void> = async () => {}) {
  const name = newId('pulled');
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  const manager = await jetstreamManager(nc);
  await manager.streams.add({ name, subjects: [name], storage: StorageType.Memory });
  await manager.consumers.add(name, { durable_name: name, ack_policy: AckPolicy.Explicit });
  cleanup.add(async () => {
    await manager.streams.delete(name);
  });
  const js = jetstream(nc);
  const pulls: { readonly batch: number; readonly reply: string }[] = [];
  nc.subscribe(`$JS.API.CONSUMER.MSG.NEXT.${name}.${name}`, {
    callback: (_, message) => {
      pulls.push({ batch: message.json<{ batch: number }>().batch, reply: message.reply as string });
    },
  });
  await nc.flush();
  const connection = await BusConnection.open({ url: server.url, prefix: newId('t'), revision: 'r1', name: 'test' });
  cleanup.add(() => connection.close());
  const received: string[] = [];
  let restored = 0;
  const puller = new Puller(connection, {
    stream: name,
    consumer: name,
    restore: async () => {
      restored++;
      await restore();
    },
    onMessage: ({ message }) => received.push(message.string()),
  });
  cleanup.add(() => puller.stop());
  /** Whatever either side has said is heard and answered. */
  const settled = async (): Promise<void> => {
    for (const side of [nc, connection.nc, connection.nc, nc]) await side.flush();
  };
  return {
    puller,
    connection,
    received,
    restored: () => restored,
    settled,
    batches: () => pulls.map(({ batch }) => batch),
    /** Lets the server deliver, to the oldest request that wants something. */
    deliver: async (...texts: string[]) => {
      const wanted = received.length + texts.length;
      for (const text of texts) await js.publish(name, text);
      await eventually(() => received.length >= wanted, 'it is delivered');
      await settled();
    },
    /** Ends one request with a status, as the server does. */
    end: (at: number, code: number, description: string, unused?: number) => {
      const header = headers(code, description);
      if (unused !== undefined) header.set('Nats-Pending-Messages', String(unused));
      nc.publish(pulls[at]?.reply as string, '', { headers: header });
    },
  };
}

test('what is wanted in one turn is one request, and no message is asked for twice', async () => {
  const { puller, received, settled, batches, deliver } = await pulling();
  puller.request(3);
  puller.request(2);
  await settled();
  expect(batches()).toEqual([5]);
  await deliver('a', 'b');
  expect(received).toEqual(['a', 'b']);
  expect(batches()).toEqual([5]);
  // As long as more is still to come than is wanted beside it, nothing new is asked for.
  puller.request(1);
  await settled();
  await deliver('c');
  expect(batches()).toEqual([5]);
  await deliver('d');
  expect(batches()).toEqual([5, 1]);
  await deliver('e', 'f');
  expect(received).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  expect(batches()).toEqual([5, 1]);
});

test('a request that expires is asked again for what it has not brought', async () => {
  const { puller, settled, batches, deliver, end } = await pulling();
  puller.request(5);
  await settled();
  await deliver('a', 'b');
  end(0, 408, 'Request Timeout', 3);
  await settled();
  expect(batches()).toEqual([5, 3]);
  // An older server does not say how many are missing.
  end(1, 404, 'No Messages');
  await settled();
  expect(batches()).toEqual([5, 3, 3]);
  // Only a sign of life.
  end(2, 100, 'Idle Heartbeat');
  // The end of a request that has ended already brings nothing back.
  end(1, 408, 'Request Timeout', 3);
  await settled();
  expect(batches()).toEqual([5, 3, 3]);
});

test('the last message that a request has not brought is not forgotten', async () => {
  const { puller, settled, batches, deliver, end } = await pulling();
  puller.request(3);
  await settled();
  await deliver('a', 'b');
  end(0, 408, 'Request Timeout', 1);
  await settled();
  expect(batches()).toEqual([3, 1]);
});

test('of two requests each gives back its own', async () => {
  const { puller, settled, batches, deliver, end } = await pulling();
  puller.request(2);
  await settled();
  puller.request(4);
  await settled();
  await deliver('a');
  end(1, 408, 'Request Timeout', 4);
  await settled();
  expect(batches()).toEqual([2, 4, 4]);
  await deliver('b');
  await deliver('c', 'd', 'e', 'f');
  await settled();
  // All that was asked for is here: ends that come now are of no matter.
  end(0, 408, 'Request Timeout', 2);
  end(2, 408, 'Request Timeout', 4);
  await settled();
  expect(batches()).toEqual([2, 4, 4]);
});

test.each([
  [409, 'Exceeded MaxWaiting'],
  [400, 'Bad Request'],
])('a request that is refused with %i %s is made again after a pause, not at once', async (code, description) => {
  const { puller, settled, batches, end, restored } = await pulling();
  puller.request(2);
  await settled();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  end(0, code, description);
  await settled();
  puller.request(1);
  await settled();
  await vi.advanceTimersByTimeAsync(499);
  await settled();
  expect(batches()).toEqual([2]);
  await vi.advanceTimersByTimeAsync(1);
  await settled();
  expect(batches()).toEqual([2, 3]);
  expect(restored()).toBe(0);
});

test.each([
  [409, 'Consumer Deleted'],
  [409, 'Server Shutdown'],
  [409, 'Leadership Change'],
  [503, 'No Responders'],
])(
  'after %i %s the consumer is restored, however often it takes, and all is asked for anew',
  async (code, description) => {
    let failures = 2;
    const { puller, settled, batches, deliver, end, restored } = await pulling(async () => {
      if (failures-- > 0) throw new Error('not back yet');
    });
    puller.request(2);
    await settled();
    puller.request(3);
    await settled();
    await deliver('a');
    end(0, code, description);
    await eventually(() => batches().length === 3, 'it asks again');
    expect(batches()).toEqual([2, 3, 4]);
    expect(restored()).toBe(3);
    // The end of a request of before the loss.
    end(1, 408, 'Request Timeout', 3);
    await settled();
    expect(batches()).toEqual([2, 3, 4]);
  },
);

test('a loss that is noticed while the consumer is being restored is restored with it', async () => {
  const gate = deferred();
  const { puller, connection, settled, batches, end, restored } = await pulling(() => gate.promise);
  puller.request(2);
  await settled();
  end(0, 409, 'Consumer Deleted');
  await eventually(() => restored() === 1, 'it is being restored');
  await connection.nc.reconnect();
  await eventually(() => !connection.isCurrent(1) && connection.isOnline, 'the connection was lost and is back');
  await settled();
  expect([restored(), batches()]).toEqual([1, [2]]);
  gate.resolve();
  await eventually(() => batches().length > 1, 'it asks again');
  await settled();
  expect([restored(), batches()]).toEqual([1, [2, 2]]);
});

test('a request that is out is not forgotten when another one is made, however long the process has run', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  vi.advanceTimersByTime(3_600_000);
  const { puller, settled, batches, end } = await pulling();
  puller.request(2);
  await settled();
  vi.advanceTimersByTime(60_000);
  puller.request(4);
  await settled();
  end(0, 408, 'Request Timeout', 2);
  end(1, 408, 'Request Timeout', 4);
  await settled();
  expect(batches()).toEqual([2, 4, 6]);
});

test('a server that has gone silent has lost the consumer; one that gives signs of life has not', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  const { puller, settled, batches, end, restored } = await pulling();
  // With nothing asked for there is nothing to hear.
  vi.advanceTimersByTime(120_000);
  puller.request(2);
  await settled();
  vi.advanceTimersByTime(25_000);
  end(0, 100, 'Idle Heartbeat');
  await settled();
  vi.advanceTimersByTime(25_000);
  await settled();
  expect([restored(), batches()]).toEqual([0, [2]]);
  // That we speak is no sign of life of the server.
  puller.request(2);
  await settled();
  vi.advanceTimersByTime(10_000);
  await settled();
  expect([restored(), batches()]).toEqual([1, [2, 2, 4]]);
});

test('one that is stopped takes what was on its way, and asks for no more', async () => {
  const { puller, received, settled, batches, deliver } = await pulling();
  puller.request(3);
  await settled();
  await deliver('a');
  await settled();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  await puller.stop();
  puller.request(2);
  await settled();
  // One that is left would keep a process that ends.
  expect(vi.getTimerCount()).toBe(0);
  expect(received).toEqual(['a']);
  expect(batches()).toEqual([3]);
});
