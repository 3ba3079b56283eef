import { TesseraError } from '@tessera/protocol';
import { collect } from '@tessera/testing/async/collect';
import { deferred } from '@tessera/testing/async/deferred';
import { expect, test } from 'vitest';
import type { ChatEvent } from './chat-event.js';
import { connect } from './connect.js';
import {
  accepted,
  type ChatCall,
  end,
  picture,
  scriptedGateway,
  type Told,
  words,
} from './testing/scripted-gateway.js';

const request = { messages: [{ role: 'user', content: 'Hello!' }] } as const;

async function* drawing() {
  yield accepted;
  yield* words(0, 'Here ', 'it is');
  // Parts of a later item may come before the words end.
  yield* picture(1, Buffer.from('P'), Buffer.from('NG'));
  yield* words(2, '. Done');
  yield* end;
}

test('an answer as a whole has its items in order', async () => {
  await using gateway = await scriptedGateway({ chat: drawing });
  using client = connect(gateway.address);
  const answer = await client.chat(request).answer();
  const drawn = { mimeType: 'image/png', bytes: Buffer.from('PNG') };
  expect(answer).toEqual({
    requestId: 'one',
    model: { name: 'demo', revision: 'abc', weights: 'unspecified' },
    seed: 7n,
    text: 'Here it is. Done',
    pictures: [drawn],
    items: ['Here it is', drawn, '. Done'],
    finishReason: 'end',
    choices: [
      {
        text: 'Here it is. Done',
        pictures: [drawn],
        items: ['Here it is', drawn, '. Done'],
        finishReason: 'end',
      },
    ],
    usage: {
      inputTokens: 5,
      cachedInputTokens: 0,
      outputTokens: 2,
      inputByModality: {},
      outputByModality: {},
      outputMedia: 0,
    },
    timeline: [],
  });
});

test('choices that come in between each other are put together apart, and the first one is the answer', async () => {
  const of = (choice: number, event: Told): Told => ({ ...event, value: { ...event.value, choice } }) as Told;
  async function* chat() {
    yield accepted;
    const texts = [...words(0, 'one', ' more')].map((event) => of(0, event));
    const others = [...words(0, 'two', ' less')].map((event) => of(2, event));
    for (const [at, event] of texts.entries()) yield* [event, others[at] as Told];
    // This one says nothing.
    for (const choice of [2, 1, 0]) yield of(choice, { $case: 'choiceFinished', value: { reason: 1 + choice } });
    yield end[1] as Told;
  }
  await using gateway = await scriptedGateway({ chat });
  using client = connect(gateway.address);
  const answer = await client.chat({ ...request, choices: 3 }).answer();
  expect(answer).toMatchObject({ text: 'one more', finishReason: 'end' });
  expect(answer.choices).toEqual([
    { text: 'one more', pictures: [], items: ['one more'], finishReason: 'end' },
    { text: '', pictures: [], items: [], finishReason: 'length' },
    { text: 'two less', pictures: [], items: ['two less'], finishReason: 'stop' },
  ]);
});

test('events come as they are told, a picture once it is complete; the whole is there afterwards', async () => {
  await using gateway = await scriptedGateway({ chat: drawing });
  using client = connect(gateway.address);
  const stream = client.chat(request);
  const events: ChatEvent[] = [];
  for await (const event of stream) events.push(event);
  expect(events.map(({ type }) => type).join(' ')).toBe(
    'accepted item_started text text item_finished item_started picture item_finished ' +
      'item_started text item_finished text_finished finished',
  );
  expect((await stream.answer()).text).toBe('Here it is. Done');
});

test('events are read once; whoever reads them and asks for the whole has both', async () => {
  await using gateway = await scriptedGateway({ chat: drawing });
  using client = connect(gateway.address);
  const stream = client.chat(request);
  const whole = stream.answer();
  await expect(collect(stream)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  expect((await whole).pictures).toHaveLength(1);
});

test('nothing is sent before reading begins', async () => {
  let calls = 0;
  await using gateway = await scriptedGateway({
    async *chat() {
      calls++;
      yield* drawing();
    },
  });
  using client = connect(gateway.address);
  client.chat(request);
  await client.chat(request).answer();
  expect(calls).toBe(1);
});

/** Says one word, and then nothing until the call is cancelled. */
function endless() {
  const { promise: cancelled, resolve: onCancelled } = deferred();
  return {
    cancelled,
    async *chat({ context }: ChatCall) {
      yield accepted;
      yield { $case: 'textDelta' as const, value: { text: 'Well' } };
      await new Promise<void>((resolve) => context.signal.addEventListener('abort', () => resolve()));
      onCancelled();
    },
  };
}

test('leaving the loop early cancels the call, and the whole answer with it', async () => {
  const script = endless();
  await using gateway = await scriptedGateway(script);
  using client = connect(gateway.address);
  const stream = client.chat(request);
  for await (const event of stream) if (event.type === 'text') break;
  await script.cancelled;
  await expect(stream.answer()).rejects.toMatchObject({ code: 'CANCELLED' });
});

test('an abort cancels the call, whatever its reason', async () => {
  const script = endless();
  await using gateway = await scriptedGateway(script);
  using client = connect(gateway.address);
  const controller = new AbortController();
  const stream = client.chat(request, { signal: controller.signal });
  const reading = (async () => {
    for await (const event of stream) if (event.type === 'text') controller.abort('no longer wanted');
  })();
  await expect(reading).rejects.toMatchObject({ code: 'CANCELLED', cause: 'no longer wanted' });
  await script.cancelled;
});

test('a signal that is aborted before makes no call', async () => {
  await using gateway = await scriptedGateway({ chat: drawing });
  using client = connect(gateway.address);
  const reason = new TesseraError('CANCELLED', 'interrupted');
  const answer = client.chat(request, { signal: AbortSignal.abort(reason) }).answer();
  await expect(answer).rejects.toBe(reason);
});

test('a call ends at its deadline, that of the connection where it has none', async () => {
  const script = endless();
  await using gateway = await scriptedGateway(script);
  using client = connect(gateway.address, { timeoutMs: 60_000 });
  using hasty = connect(gateway.address, { timeoutMs: 100 });
  for (const answer of [client.chat(request, { timeoutMs: 100 }).answer(), hasty.chat(request).answer()]) {
    await expect(answer).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', retryable: true });
  }
});

test('an error says what the server said', async () => {
  await using gateway = await scriptedGateway({
    async *chat() {
      yield accepted;
      throw new TesseraError('MEDIA_CORRUPT', 'it is cut', { field: 'media[0]', stage: 'encoder' });
    },
  });
  using client = connect(gateway.address);
  await expect(client.chat(request).answer()).rejects.toMatchObject({
    code: 'MEDIA_CORRUPT',
    message: 'it is cut',
    retryable: false,
    field: 'media[0]',
    stage: 'encoder',
    requestId: 'request-1',
  });
});

test('a stream that ends before the answer does is an error', async () => {
  await using gateway = await scriptedGateway({
    async *chat() {
      yield accepted;
    },
  });
  using client = connect(gateway.address);
  await expect(client.chat(request).answer()).rejects.toMatchObject({ code: 'INTERNAL' });
});

test('an answer that is complete stays so, however its stream ends, and is not asked for again', async () => {
  let calls = 0;
  await using gateway = await scriptedGateway({
    async *chat() {
      calls++;
      // Nothing was written: the model ended its turn at once.
      yield accepted;
      yield* end;
      throw new TesseraError('STAGE_UNAVAILABLE', 'the connection is gone');
    },
  });
  using client = connect(gateway.address);
  const stream = client.chat(request);
  const events = await collect(stream);
  expect(events.map(({ type }) => type)).toEqual(['accepted', 'text_finished', 'finished']);
  expect((await stream.answer()).text).toBe('');
  expect(calls).toBe(1);
});

test('closing the client ends the calls that are under way', async () => {
  const script = endless();
  await using gateway = await scriptedGateway(script);
  const client = connect(gateway.address);
  const stream = client.chat(request);
  const reading = (async () => {
    for await (const event of stream) if (event.type === 'text') client.close();
  })();
  await expect(reading).rejects.toMatchObject({ code: 'CANCELLED', message: 'the client was closed' });
  await script.cancelled;
});
