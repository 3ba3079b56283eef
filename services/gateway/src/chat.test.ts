import { createHash } from 'node:crypto';

import { ChatMessage, ChatStart, Media, type MediaPart, RequestState, Role, TesseraError } from '@tessera/protocol';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { RequestAdmission } from './admission/request-admission.js';
import type { AnswerEventBody } from './answer/answer-event.js';
import type { Chat, ChatDependencies, ChatLimits } from './chat.js';
import { RoutingFixture } from './testing/routing-fixture.js';
import { admitted, answer, type Script, token } from './testing/scripted-engine.js';
import { tiledPictures } from './testing/tiled-pictures.js';

type End = Parameters<ChatDependencies['onEnd']>[0];

const apple = samplePicture('apple');
const appleDigest = createHash('sha256').update(apple).digest('hex');

let routing: RoutingFixture;
let ends: End[] = [];
beforeAll(async () => {
  routing = await RoutingFixture.start();
});
afterEach(async () => {
  vi.useRealTimers();
  ends = [];
  await routing.reset();
});
afterAll(() => routing.close());

const pictures = tiledPictures(4);

const newChat = (limits: Partial<ChatLimits> = {}, own: Partial<ChatDependencies> = {}): Chat =>
  routing.chat(limits, { media: pictures, onEnd: (end) => ends.push(end), ...own });

const hello = ChatStart.fromPartial({
  messages: [{ role: Role.USER, content: [{ part: { $case: 'text', value: 'Hello!' } }] }],
});

async function* parts(...list: Partial<MediaPart>[]): AsyncGenerator<MediaPart> {
  for (const part of list) yield { name: 'a', data: new Uint8Array(), last: false, ...part };
}

function call(signal = new AbortController().signal) {
  return { client: 'c', signal, deadlineMs: Date.now() + 60_000 };
}

/** What comes until the answer ends, and the error that it ends with. */
async function all(events: AsyncIterable<AnswerEventBody>): Promise<{ events: AnswerEventBody[]; code: string }> {
  const read: AnswerEventBody[] = [];
  try {
    for await (const event of events) read.push(event);
  } catch (reason) {
    return { events: read, code: TesseraError.from(reason).code };
  }
  return { events: read, code: 'OK' };
}

const ask = (chat: Chat, start: Partial<ChatStart> = {}, signal?: AbortSignal) =>
  chat.answer({ ...hello, ...start }, parts(), call(signal));

/** An answer under way, the text of which has begun. */
async function begun(chat: Chat, start: Partial<ChatStart> = {}, signal?: AbortSignal) {
  const events = ask(chat, start, signal);
  for (;;) {
    const next = await events.next();
    if (next.done === true) throw new Error('the answer ended');
    if (next.value.$case === 'textDelta') return events;
  }
}

const endless: Script = { events: [admitted, token(7)], waits: true };

test('an answer begins with what the request is known by, and leaves nothing behind', async () => {
  await routing.engine('one', answer);
  const chat = newChat();
  const { events, code } = await all(ask(chat, { metadata: { key: 'value' } }));
  expect(code).toBe('OK');
  expect(events[0]).toMatchObject({
    $case: 'accepted',
    value: { requestId: expect.stringMatching(/^[0-9a-f]{24}$/), model: { name: 'toy' }, metadata: { key: 'value' } },
  });
  expect(events.at(-1)?.$case).toBe('finished');
  expect(ends).toMatchObject([{ state: RequestState.DONE, error: undefined }]);
  expect(chat.inFlight).toBe(0);
  await chat.idle();
});

test('a request takes as many places as it has choices, until it has ended', async () => {
  await routing.engine('one', endless);
  const chat = newChat({ requests: 2 });
  const first = await begun(chat);
  expect(await all(ask(chat, { choices: 2 }))).toMatchObject({ code: 'QUEUE_FULL', events: [] });
  const second = await begun(chat);
  expect(chat.inFlight).toBe(2);
  expect(() => chat.arrive()).toThrow('the gateway has 2 requests in flight; its limit is 2');
  expect(await all(ask(chat))).toMatchObject({ code: 'QUEUE_FULL' });
  await expect(chat.upload(Media.fromPartial({ name: 'a' }), parts(), call())).rejects.toMatchObject({
    code: 'QUEUE_FULL',
  });
  await first.return?.();
  await expect.poll(() => chat.inFlight).toBe(1);
  await second.return?.();
  await chat.idle();
  expect(ends.map(({ state, error }) => [state, error?.code])).toEqual([
    [RequestState.CANCELLED, 'CANCELLED'],
    [RequestState.CANCELLED, 'CANCELLED'],
  ]);
});

test('a call that has come takes a place until its request is looked at, it is gone, or it says nothing for long', async () => {
  // On a busy machine a moment may be long.
  vi.useFakeTimers({ toFake: ['performance'] });
  await routing.engine('one', answer);
  const chat = newChat({ requests: 1 });
  const arrival = chat.arrive();
  expect(() => chat.arrive()).toThrow(TesseraError);
  const { code } = await all(chat.answer(hello, parts(), { ...call(), arrival }));
  expect(code).toBe('OK');
  chat.arrive()[Symbol.dispose]();
  chat.arrive();
  expect(() => chat.arrive()).toThrow(TesseraError);
  vi.advanceTimersByTime(1000);
  chat.arrive()[Symbol.dispose]();
});

test.each([
  ['is read no more', (events: AsyncIterator<unknown>) => events.return?.(), 'CANCELLED', RequestState.CANCELLED],
  [
    'has met its deadline',
    (_: unknown, stop: AbortController) => stop.abort(new TesseraError('DEADLINE_EXCEEDED', 'late')),
    'DEADLINE_EXCEEDED',
    RequestState.FAILED,
  ],
])('an answer that %s ends at its engine, too', async (_why, end, code, state) => {
  await routing.engine('one', endless);
  const chat = newChat();
  const stop = new AbortController();
  const events = await begun(chat, {}, stop.signal);
  expect(routing.pool.outlook().load).toBe(1);
  await end(events, stop);
  await chat.idle();
  expect(routing.pool.outlook().load).toBe(0);
  expect(ends).toMatchObject([{ state, error: { code } }]);
});

const died: Script = { events: [admitted], fails: new TesseraError('STAGE_UNAVAILABLE', 'it died') };

test.each<[what: string, scripts: Script[], own: Partial<ChatDependencies>, cancelled: boolean]>([
  ['is done', [answer], {}, false],
  ['is done after a further attempt', [died, answer], {}, true],
  ['is left by its reader, and might have had a drawing queued', [endless], {}, true],
  ['is left by its reader, of a model that does not draw', [endless], { canDraw: false }, false],
])('a request that %s is cancelled on NATS, where work for it may be left', async (_what, scripts, own, cancelled) => {
  const one = await routing.engine('one', ...scripts);
  const stop = routing.announceAgain(one);
  const chat = newChat({}, own);
  const events = await begun(chat);
  if (scripts.at(-1) === endless) await events.return?.();
  else expect(await all(events)).toMatchObject({ code: 'OK' });
  await chat.idle();
  stop();
  expect(await routing.bus.isCancelled(one.calls[0]?.requestId ?? '')).toBe(cancelled);
});

test('the gateway is idle when the last request has ended, not before', async () => {
  await routing.engine('one', endless);
  const chat = newChat();
  const events = [await begun(chat), await begun(chat)];
  let isIdle = false;
  const idle = chat.idle().then(() => {
    isIdle = true;
  });
  await events[0]?.return?.();
  await expect.poll(() => chat.inFlight).toBe(1);
  await new Promise((resolve) => setImmediate(resolve));
  expect(isIdle).toBe(false);
  await events[1]?.return?.();
  await idle;
});

test.each<[what: string, start: Partial<ChatStart>, code: string]>([
  ['of another model', { model: 'other' }, 'MODEL_NOT_FOUND'],
  ['without a message', { messages: [] }, 'PROMPT_EMPTY'],
])('a request %s is refused before anything is begun', async (_what, start, code) => {
  const chat = newChat();
  expect(await all(ask(chat, start))).toEqual({ events: [], code });
  expect([chat.inFlight, ends]).toEqual([0, []]);
});

test('the model may be named', async () => {
  await routing.engine('one', answer);
  expect(await all(ask(newChat(), { model: 'toy' }))).toMatchObject({ code: 'OK' });
});

test('what a stage says of a picture is told under the name that the request has for it', async () => {
  const corrupt = new TesseraError('MEDIA_CORRUPT', 'it is damaged', { field: 'media[0]' });
  await routing.engine('one', { fails: corrupt });
  const shown = { part: { $case: 'media' as const, value: 'my apple' } };
  const events = ask(newChat(), {
    media: [Media.fromPartial({ name: 'my apple', source: { $case: 'inline', value: apple } })],
    messages: [{ role: Role.USER, content: [shown], toolCalls: [], toolCallId: '' }],
  });
  await expect(all(events)).resolves.toMatchObject({ code: 'MEDIA_CORRUPT' });
  expect(ends).toMatchObject([
    { state: RequestState.FAILED, error: { message: 'media "my apple": it is damaged', field: 'media[0]' } },
  ]);
});

/** One that shows the apple, in five tiles: two encode jobs. */
const shown = ChatStart.fromPartial({
  media: [Media.fromPartial({ name: 'a', source: { $case: 'parts', value: {} } })],
  messages: [{ role: Role.USER, content: [{ part: { $case: 'media', value: 'a' } }] }],
});

test('a request with a picture has a place from when its picture is whole, until it ends', async () => {
  const chat = newChat();
  let send = (_part: MediaPart): void => undefined;
  const sent = new Promise<MediaPart>((resolve) => {
    send = resolve;
  });
  async function* later(): AsyncGenerator<MediaPart> {
    yield await sent;
  }
  const events = chat.answer(shown, later(), call());
  expect((await events.next()).value).toMatchObject({ $case: 'accepted' });
  expect(routing.pool.outlook().load).toBe(0);
  send({ name: 'a', data: apple, last: true });
  // No engine is there: it waits for one.
  await expect.poll(() => routing.pool.outlook().load).toBe(1);
  await events.return?.();
  await chat.idle();
  expect(routing.pool.outlook().load).toBe(0);
});

test('a picture is refused whose jobs take the encoders too long; a next turn is not, since its engine has the picture', async () => {
  await routing.engine('one', answer);
  const admission = new RequestAdmission({ engines: routing.pool, safety: 1, drawSteps: undefined });
  const chat = newChat({}, { admission });
  const says = (role: Role, value: string) =>
    ChatMessage.fromPartial({ role, content: [{ part: { $case: 'text', value } }] });
  const show = (...messages: ChatMessage[]) =>
    all(chat.answer({ ...shown, messages }, parts({ data: apple, last: true }), call()));
  expect(await show(...shown.messages)).toMatchObject({ code: 'OK' });
  // From now on the encoders do a job in 40 s. They have nothing to do, and a request has a minute.
  for (const settled of [0, 1]) admission.sampled('encode', { waiting: 1, running: 0, settled }, settled * 40_000);
  admission.deserted('encode', { waiting: 0, running: 0, settled: 2 });
  const nextTurn = [...shown.messages, says(Role.ASSISTANT, '<7>'), says(Role.USER, 'And what else?')];
  expect(await show(...nextTurn)).toMatchObject({ code: 'OK' });
  expect(await show(says(Role.USER, 'What is this?'), ...shown.messages)).toMatchObject({ code: 'QUEUE_FULL' });
  expect(ends.at(-1)).toMatchObject({ state: RequestState.FAILED, error: { options: { stage: 'encoder' } } });
});

const declared = (rest: object = {}) =>
  Media.fromPartial({ name: 'a', source: { $case: 'parts', value: {} }, ...rest });

test('an upload is kept for later requests, and takes a place only while it comes', async () => {
  const chat = newChat();
  const half = apple.length >> 1;
  const came = parts({ data: apple.subarray(0, half) }, { data: apple.subarray(half), last: true });
  expect(await chat.upload(declared(), came, call())).toMatchObject({
    digest: `sha256:${appleDigest}`,
    sizeBytes: BigInt(apple.length),
    mimeType: 'image/png',
  });
  expect(chat.inFlight).toBe(0);
  const found = await routing.bus.findUpload(appleDigest, new AbortController().signal);
  expect(found?.size).toBe(apple.length);
});

test.each<[what: string, start: Media, sent: Partial<MediaPart>[], code: string, field: string | undefined]>([
  ['that is no picture', declared(), [{ data: Buffer.from('words'), last: true }], 'MEDIA_NOT_RECOGNISED', 'media'],
  [
    'of another type',
    declared({ mimeType: 'image/webp' }),
    [{ data: apple, last: true }],
    'REQUEST_INVALID',
    'media.mime_type',
  ],
  ['without a name', declared({ name: '' }), [], 'REQUEST_INVALID', 'media.name'],
  ['that comes inline', declared({ source: { $case: 'inline', value: apple } }), [], 'REQUEST_INVALID', 'media.inline'],
  ['that is too large', declared(), [{ data: new Uint8Array(10_001) }], 'MESSAGE_TOO_LARGE', 'media_part.data'],
])('an upload %s is refused by its field, and leaves nothing', async (_what, start, sent, code, field) => {
  const chat = newChat();
  await expect(chat.upload(start, parts(...sent), call())).rejects.toMatchObject({ code, options: { field } });
  expect(chat.inFlight).toBe(0);
});

test('a model of words takes no upload', async () => {
  const chat = newChat({}, { media: undefined });
  await expect(chat.upload(declared(), parts(), call())).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});
