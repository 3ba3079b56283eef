import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { type NatsServer, startNatsServer } from '@tessera/nats-server';
import { encodeQueue, maxBytesOf, Subjects, TesseraError, visualTokens } from '@tessera/protocol';
import { take } from '@tessera/testing/async/collect';
import { deferred } from '@tessera/testing/async/deferred';
import { eventually } from '@tessera/testing/async/eventually';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { encodeJob, inAMinute, nobody, toNobody } from '../testing/messages.js';
import { Cleanup, newId } from '../testing/test-bus.js';
import { retryDelay } from './retry-delay.js';
import type { JobContext } from './worker.js';

let server: NatsServer;
const cleanup = new Cleanup();

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(() => cleanup.run());
afterAll(() => server.stop());

/** What workers answer the server about the jobs of one queue. */
async function answersTo(prefix: string) {
  const nc = await connect({ servers: server.url });
  cleanup.add(() => nc.close());
  const answers: string[] = [];
  nc.subscribe('$JS.ACK.>', {
    callback: (_, message) => {
      if (message.subject.includes(`.${prefix}_v2_encode_r1.`)) answers.push(message.string());
    },
  });
  await nc.flush();
  return { nc, answers };
}

test('a job that fails again and again is given back with a growing delay, and then ended', async () => {
  const prefix = newId('t');
  const { answers } = await answersTo(prefix);
  const bus = await cleanup.bus(server.url, { prefix, limits: { maxDeliveries: 7, retryDelayMs: 2 } });
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async () => {
      throw new TesseraError('STAGE_UNAVAILABLE', 'the graph is away');
    },
  });
  await bus.publish(encodeQueue, encodeJob('a'), toNobody());
  await eventually(() => answers.includes('+TERM'), 'it is given up');
  const delays = [1, 2, 3, 4, 5, 6].map((deliveries) => retryDelay(2, deliveries));
  expect(answers).toEqual([...delays.map((ms) => `-NAK {"delay":${ms * 1e6}}`), '+TERM']);
});

test.each([
  ['heeds no signal', () => new Promise<void>(() => {})],
  [
    'ends for a reason of its own',
    ({ signal }: JobContext) =>
      new Promise<void>((_, reject) => {
        signal.addEventListener('abort', () => reject(new TesseraError('INTERNAL', 'cut off')));
      }),
  ],
])(
  'a job that an ending worker hands back is to be delivered again at once, though its handler %s',
  async (_, work) => {
    const prefix = newId('t');
    const { nc, answers } = await answersTo(prefix);
    const bus = await cleanup.bus(server.url, { prefix, limits: { ackWaitMs: 600_000 } });
    const [leave, begun] = [new AbortController(), deferred()];
    const working = bus.work(encodeQueue, {
      slots: 1,
      signal: leave.signal,
      overdue: leave.signal,
      handler: (_job, context) => {
        begun.resolve();
        return work(context);
      },
    });
    await bus.publish(encodeQueue, encodeJob('a'), toNobody());
    await begun.promise;
    leave.abort();
    await working;
    await eventually(() => answers.length > 0, 'it is handed back');
    await nc.flush();
    expect(answers).toEqual(['-NAK']);
  },
);

test('a job that failed stays in its queue until its failure is on the stream', async () => {
  const prefix = newId('t');
  const { nc, answers } = await answersTo(prefix);
  let full = 0;
  const maxBytes = { ...maxBytesOf(() => 1e6), visual_tokens: 20_000 };
  const bus = await cleanup.bus(server.url, { prefix, limits: { maxBytes }, observer: { queueFull: () => full++ } });
  const inbox = await bus.openInbox(visualTokens);
  const reading = take(inbox.receive('a', cleanup.signal()), 1);
  // What lies there for others leaves no room for anything.
  for (let tile = 0; ; tile++) {
    const subject = new Subjects(prefix, 'r1').product(visualTokens, nobody, {
      requestId: 'x',
      item: 0,
      tile,
      part: 0,
    });
    const refused = await jetstream(nc)
      .publish(subject)
      .catch(() => true);
    if (refused === true) break;
  }
  void bus.work(encodeQueue, {
    slots: 1,
    signal: cleanup.signal(),
    handler: async () => {
      throw new TesseraError('MEDIA_CORRUPT', 'the picture ends too soon');
    },
  });
  await bus.publish(encodeQueue, encodeJob('a'), { deadlineMs: inAMinute(), deliverTo: inbox.address });
  await eventually(() => full > 0, 'the failure finds no room');
  // Whatever the worker said before is here with this.
  await nc.flush();
  expect(answers).not.toContain('+TERM');
  expect((await bus.queueDepths())[0]).toMatchObject({ running: 1 });
  await (await jetstreamManager(nc)).streams.purge(`${prefix}_v2_tokens_0`);
  expect(await reading).toMatchObject([{ kind: 'failure', code: 'MEDIA_CORRUPT' }]);
  await eventually(() => answers.includes('+TERM'), 'the job leaves');
});
