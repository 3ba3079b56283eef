import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { encodeQueue } from '@tessera/protocol';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { encodeJob, toNobody } from '../testing/messages.js';
import { Cleanup } from '../testing/test-bus.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

test('two prefixes on one server do not meet', async () => {
  const [one, other] = await Promise.all([
    cleanup.bus(server.url, { prefix: 'a' }),
    cleanup.bus(server.url, { prefix: 'a_b' }),
  ]);
  const seen: string[] = [];
  for (const [name, bus] of [
    ['one', one],
    ['other', other],
  ] as const) {
    void bus.work(encodeQueue, {
      slots: 1,
      signal: cleanup.signal(),
      handler: async (job) => {
        seen.push(`${name} ${job.firstTile}`);
      },
    });
  }
  await one.publish(encodeQueue, encodeJob('same', 1), toNobody());
  await other.publish(encodeQueue, encodeJob('same', 2), toNobody());
  await one.cancel('same');
  await eventually(() => seen.includes('other 2'), 'the other prefix goes on');
  expect(seen).not.toContain('other 1');
  expect(seen).not.toContain('one 2');
  expect(await other.isCancelled('same')).toBe(false);
});
