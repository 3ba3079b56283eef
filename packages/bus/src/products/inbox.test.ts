import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { Subjects, visualTokens } from '@tessera/protocol';
import { take } from '@tessera/testing/async/collect';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { counted, inAMinute, jobKey, sendTokens } from '../testing/messages.js';
import { Cleanup, newId } from '../testing/test-bus.js';

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

/** An engine's inbox, and what is thrown away there or still lies on its stream. */
async function engine() {
  const prefix = newId('t');
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  const manager = await jetstreamManager(nc);
  let dropped = 0;
  const observer = { dropped: () => dropped++ };
  const bus = await cleanup.bus(server.url, { prefix, observer });
  const inbox = await bus.openInbox(visualTokens);
  const options = { deadlineMs: inAMinute(), deliverTo: inbox.address, timings: [] };
  return {
    inbox,
    dropped: () => dropped,
    lying: async () => (await manager.streams.info(`${prefix}_v2_tokens_0`)).state.messages,
    /** Messages that were delivered and are not acknowledged. */
    held: async () => (await manager.consumers.info(`${prefix}_v2_tokens_0`, inbox.address)).num_ack_pending,
    /** Sends nothing to a place behind the inbox's address. */
    sendTo: async (place: string) => {
      const filter = new Subjects(prefix, 'r1').inboxFilter(visualTokens, inbox.address);
      await jetstream(nc).publish(filter.replace(/>$/, place));
    },
    send: (requestId: string, attempt = 1) => sendTokens(bus, jobKey(requestId, attempt), 0, counted(1, 8), options),
  };
}

test('of what comes for requests that are not open the newest 64 wait, and hold up nobody else', async () => {
  const { inbox, dropped, lying, send } = await engine();
  for (let request = 0; request < 70; request++) await send(`early${request}`);
  await eventually(() => dropped() === 6, 'the oldest are thrown away');
  const open = take(inbox.receive('open', cleanup.signal()), 1);
  await send('open');
  expect(await open).toMatchObject([{ kind: 'tensor' }]);
  await eventually(async () => (await lying()) === 64, 'the others lie on the stream');
  const reading = new AbortController();
  const lost = take(inbox.receive('early5', reading.signal), 1);
  expect(await take(inbox.receive('early6', cleanup.signal()), 1)).toMatchObject([{ kind: 'tensor' }]);
  expect(await take(inbox.receive('early69', cleanup.signal()), 1)).toMatchObject([{ kind: 'tensor' }]);
  reading.abort();
  expect(await lost).toEqual([]);
  await eventually(async () => (await lying()) === 62, 'what is taken leaves');
  expect(dropped()).toBe(6);
});

test('what waits ten seconds for its request is thrown away, and no sooner', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  const { inbox, dropped, lying, held, send } = await engine();
  await send('a');
  await eventually(async () => (await held()) === 1, 'the first is here');
  vi.advanceTimersByTime(5000);
  await send('b');
  await eventually(async () => (await held()) === 2, 'the second is here');
  vi.advanceTimersByTime(5000);
  expect(dropped()).toBe(0);
  vi.advanceTimersByTime(2500);
  expect(dropped()).toBe(1);
  await eventually(async () => (await lying()) === 1, 'the first is thrown away');
  expect(await take(inbox.receive('b', cleanup.signal()), 1)).toMatchObject([{ kind: 'tensor' }]);
  // What was taken waits no more.
  vi.advanceTimersByTime(20_000);
  expect(dropped()).toBe(1);
});

test('requests that ended are remembered, the last 4096 of them', async () => {
  const { inbox, dropped, lying, held, send } = await engine();
  for (let request = 0; request <= 4096; request++) {
    const controller = new AbortController();
    inbox.receive(`ended${request}`, controller.signal);
    controller.abort();
  }
  await send('ended1');
  await eventually(() => dropped() === 1, 'it is known');
  await send('ended0');
  // Unknown again: it waits for a request that may come.
  await eventually(async () => (await held()) === 1, 'it waits');
  expect([dropped(), await lying()]).toEqual([1, 1]);
  // A request that is taken up again is open, whatever was before.
  const reading = take(inbox.receive('ended1', cleanup.signal()), 1);
  await send('ended1', 2);
  expect(await reading).toMatchObject([{ kind: 'tensor', attempt: 2 }]);
});

test('a message whose subject names no part of a product is thrown away, and others still come', async () => {
  const { inbox, dropped, lying, send, sendTo } = await engine();
  const reading = take(inbox.receive('a', cleanup.signal()), 1);
  for (const odd of ['a.0.0.0.0', 'a.0.0', 'a.x.0.0', 'a']) await sendTo(odd);
  await send('a');
  expect(await reading).toMatchObject([{ kind: 'tensor' }]);
  expect(dropped()).toBe(4);
  await eventually(async () => (await lying()) === 0, 'nothing is left');
});
