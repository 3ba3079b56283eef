import { TesseraError } from '@tessera/protocol';
import { deferred } from '@tessera/testing/async/deferred';
import { expect, test } from 'vitest';
import { connect } from './connect.js';
import { accepted, type ChatCall, end, scriptedGateway, words } from './testing/scripted-gateway.js';
import { serviceAddress } from './testing/service-address.js';

const request = {
  messages: [{ role: 'user', content: [{ image: { bytes: Buffer.from('picture') } }, 'Hello!'] }],
} as const;

const retry = { firstPauseMs: 1 };

test('a retryable failure is tried again with all of the request, and told', async () => {
  const sent: number[] = [];
  await using gateway = await scriptedGateway({
    async *chat({ attempt, sent: messages }: ChatCall) {
      sent.push(messages.length);
      if (attempt === 1) throw new TesseraError('DRAINING', 'elsewhere, please');
      // What was told of an attempt that failed does not count.
      yield accepted;
      if (attempt === 2) throw new TesseraError('QUEUE_FULL', 'full', { retryAfterMs: 30 });
      yield* words(0, 'Hello!');
      yield* end;
    },
  });
  using client = connect(gateway.address, { retry });
  const stream = client.chat(request);
  const told: unknown[] = [];
  for await (const event of stream) {
    if (event.type === 'retrying') told.push([event.error.code, event.attempt, event.pauseMs >= 30]);
  }
  expect(told).toEqual([
    ['DRAINING', 2, false],
    ['QUEUE_FULL', 3, true],
  ]);
  expect(sent).toEqual([2, 2, 2]);
  expect((await stream.answer()).text).toBe('Hello!');
});

test('a gateway that drains is left: the next attempt makes a connection of its own, and what is under way goes on', async () => {
  const { promise: written, resolve: write } = deferred();
  await using draining = await scriptedGateway({
    async *chat({ attempt }: ChatCall) {
      if (attempt > 1) throw new TesseraError('DRAINING', 'elsewhere, please');
      yield accepted;
      yield* words(0, 'One');
      await written;
      yield* end;
    },
  });
  await using other = await scriptedGateway({
    async *chat() {
      yield accepted;
      yield* words(0, 'Another');
      yield* end;
    },
  });
  let replica = draining.address;
  await using service = await serviceAddress(() => replica);
  using client = connect(service.address, { retry });
  const first = client.chat(request)[Symbol.asyncIterator]();
  await first.next();
  replica = other.address;
  expect((await client.chat(request).answer()).text).toBe('Another');
  write();
  let last: unknown;
  for (let next = await first.next(); next.done !== true; next = await first.next()) last = next.value.type;
  expect(last).toBe('finished');
});

test.each([
  ['what is not retryable', 'UNSUPPORTED', []],
  ['what fails in the midst of the answer', 'STAGE_UNAVAILABLE', [...words(0, 'Hel')]],
] as const)('%s is not tried again', async (_what, code, before) => {
  let attempts = 0;
  await using gateway = await scriptedGateway({
    async *chat({ attempt }: ChatCall) {
      attempts = attempt;
      yield accepted;
      yield* before;
      throw new TesseraError(code, 'no');
    },
  });
  using client = connect(gateway.address, { retry });
  await expect(client.chat(request).answer()).rejects.toMatchObject({ code, message: 'no' });
  expect(attempts).toBe(1);
});

test('the last error is told when attempts are used up', async () => {
  await using gateway = await scriptedGateway({
    // biome-ignore lint/correctness/useYield: it only fails
    async *chat({ attempt }: ChatCall) {
      throw new TesseraError('QUEUE_FULL', `full, for the ${attempt}. time`);
    },
  });
  using client = connect(gateway.address, { retry: { ...retry, maxAttempts: 3 } });
  await expect(client.chat(request).answer()).rejects.toMatchObject({ message: 'full, for the 3. time' });
});

test('an abort ends the pause', async () => {
  await using gateway = await scriptedGateway({
    // biome-ignore lint/correctness/useYield: it only fails
    async *chat() {
      throw new TesseraError('QUEUE_FULL', 'full', { retryAfterMs: 19_000 });
    },
  });
  using client = connect(gateway.address);
  const controller = new AbortController();
  const reading = (async () => {
    for await (const event of client.chat(request, { signal: controller.signal })) {
      if (event.type === 'retrying') controller.abort();
    }
  })();
  await expect(reading).rejects.toMatchObject({ code: 'CANCELLED' });
});
