import {
  type AnswerEvent,
  type ChatRequest,
  ChatServiceDefinition,
  Modality,
  Role,
  TesseraError,
  type UploadRequest,
  type UploadResponse,
  WeightFormat,
} from '@tessera/protocol';
import { commonSettings, createClient, type RunningService, startService, type TesseraClient } from '@tessera/service';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Chat, ChatLimits } from '../chat.js';
import { RoutingFixture } from '../testing/routing-fixture.js';
import { admitted, answer, finished, type Script, token } from '../testing/scripted-engine.js';
import { tiledPictures } from '../testing/tiled-pictures.js';
import { chatService } from './chat-service.js';

type Client = TesseraClient<typeof ChatServiceDefinition>;
type Request = Parameters<typeof ChatRequest.fromPartial>[0];
type Upload = Parameters<typeof UploadRequest.fromPartial>[0];
type Start = NonNullable<Parameters<Client['respond']>[0]['start']>;

let routing: RoutingFixture;
beforeAll(async () => {
  routing = await RoutingFixture.start();
});
afterAll(() => routing.close());

let service: RunningService;
let chat: Chat;
let client: Client;
let drain: AbortController;
let firstTexts: number[];
beforeEach(() => open());
afterEach(async () => {
  await shut();
  await routing.reset();
});

/** Opens the door. */
async function open(limits: Partial<ChatLimits> = {}): Promise<void> {
  drain = new AbortController();
  firstTexts = [];
  chat = routing.chat(limits, { media: tiledPictures(4), onEnd: () => undefined });
  const info = { name: 'toy', revision: 'r1', weights: WeightFormat.FLOAT32 };
  const model = { info, inputModalities: [Modality.TEXT], outputModalities: [Modality.TEXT], contextTokens: 256 };
  const door = chatService(
    chat,
    { model, limits: undefined },
    { drain: drain.signal, pauseMs: 60_000, clientKey: 'x-tenant', onFirstText: (afterMs) => firstTexts.push(afterMs) },
  );
  service = await startService(
    {
      name: 'gateway',
      settings: commonSettings,
      start: async () => ({ services: [door], stop: () => chat.idle() }),
    },
    { 'model.dir': 'none', 'log.level': 'silent' },
  );
  client = createClient(ChatServiceDefinition, service.grpcAddress);
}

async function shut(): Promise<void> {
  client.close();
  await service.stop();
}

const says = (value: string) => [{ role: Role.USER, content: [{ part: { $case: 'text' as const, value } }] }];
const hello: Start = { messages: says('Hello!') };
const endless: Script = { events: [admitted, token(7)], waits: true };

/** What comes until the answer ends, and the error that it ends with. */
async function all(responses: AsyncIterable<{ event?: AnswerEvent | undefined }>) {
  const events: AnswerEvent[] = [];
  let error: TesseraError | undefined;
  try {
    for await (const { event } of responses) if (event !== undefined) events.push(event);
  } catch (reason) {
    error = TesseraError.from(reason);
  }
  return { events, cases: events.map(({ event }) => event?.$case), error, code: error?.code, field: error?.field };
}

async function* stream(...bodies: Request['body'][]): AsyncGenerator<Request> {
  for (const body of bodies) yield { body };
}

const start = (value: Start): Request['body'] => ({ $case: 'start', value });
const part = (data: Uint8Array, name = 'a'): Request['body'] => ({
  $case: 'mediaPart',
  value: { name, data, last: true },
});

test('events are numbered from 1 without a gap, and the first text is told', async () => {
  await routing.engine('one', { events: [admitted, token(7), token(8), finished] });
  const { events, cases, error } = await all(client.respond({ start: hello }));
  expect(error).toBeUndefined();
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, at) => BigInt(at + 1)));
  expect([cases[0], cases.at(-1)]).toEqual(['accepted', 'finished']);
  expect(cases).not.toContain('drain');
  expect(firstTexts).toHaveLength(1);
});

test('a drain is told at once to who is answered, once', async () => {
  await routing.engine('one', endless);
  const stop = new AbortController();
  const cases: (string | undefined)[] = [];
  const sequences: (bigint | undefined)[] = [];
  const reading = (async () => {
    for await (const { event } of client.respond({ start: hello }, { signal: stop.signal })) {
      cases.push(event?.event?.$case);
      sequences.push(event?.sequence);
      if (event?.event?.$case === 'textDelta') drain.abort();
      if (event?.event?.$case === 'drain') stop.abort();
    }
  })();
  await expect(reading).rejects.toThrow();
  expect(cases.slice(-2)).toEqual(['textDelta', 'drain']);
  expect(sequences).toEqual(sequences.map((_, at) => BigInt(at + 1)));
});

test('who is accepted while it drains is told so right after', async () => {
  await routing.engine('one', answer);
  drain.abort();
  const { cases } = await all(client.respond({ start: hello }));
  expect(cases.slice(0, 2)).toEqual(['accepted', 'drain']);
  expect(cases.filter((each) => each === 'drain')).toHaveLength(1);
  expect(cases.at(-1)).toBe('finished');
});

test('a drain is not told before the request is accepted', async () => {
  drain.abort();
  expect(await all(client.respond({ start: { ...hello, model: 'other' } }))).toMatchObject({
    events: [],
    code: 'MODEL_NOT_FOUND',
    field: 'start.model',
  });
});

const parts = (name: string) => ({ name, source: { $case: 'parts' as const, value: {} } });
const inline = (name: string) => ({ name, source: { $case: 'inline' as const, value: samplePicture('apple') } });

test.each<[what: string, start: Start | undefined, field: string]>([
  ['without a start', undefined, 'start'],
  ['whose bytes are to follow', { ...hello, media: [parts('a')] }, 'start.media[0].parts'],
  ['with one item whose bytes are to follow', { ...hello, media: [inline('a'), parts('b')] }, 'start.media[1].parts'],
  ['that breaks the contract', { ...hello, priority: 1 }, 'start.priority'],
])('a request in one message %s is refused by its field', async (_what, asked, field) => {
  const { code, field: said, events } = await all(client.respond({ start: asked }));
  expect({ code, said, events }).toEqual({ code: 'REQUEST_INVALID', said: field, events: [] });
});

const shown: Start = {
  media: [parts('a')],
  messages: [{ role: Role.USER, content: [{ part: { $case: 'media', value: 'a' } }] }],
};

test('media come in parts after the start', async () => {
  await routing.engine('one', answer);
  expect(await all(client.chat(stream(start(shown), part(samplePicture('apple')))))).toMatchObject({
    error: undefined,
  });
});

test.each<[what: string, bodies: Request['body'][], field: string]>([
  ['that ends before it has begun', [], 'start'],
  ['that begins with a part', [part(samplePicture('apple'))], 'start'],
  ['that begins with nothing', [undefined], 'start'],
  ['with a second start', [start(shown), start(shown)], 'media_part'],
  ['with a part of another name', [start(shown), part(samplePicture('apple'), 'b')], 'media_part.name'],
])('a stream %s is refused by its field', async (_what, bodies, field) => {
  const { code, field: said } = await all(client.chat(stream(...bodies)));
  expect({ code, said }).toEqual({ code: 'REQUEST_INVALID', said: field });
});

test.each<[what: string, more: () => Request['body'], field: string]>([
  ['a further part', () => part(samplePicture('apple')), 'media_part.name'],
  ['what is no part', () => start(hello), 'media_part'],
])('%s after all media were whole ends the request, which is under way', async (_what, more, field) => {
  await routing.engine('one', endless);
  const bodies = [start(shown), part(samplePicture('apple')), more()];
  expect(await all(client.chat(stream(...bodies)))).toMatchObject({ code: 'REQUEST_INVALID', field });
});

test('a full gateway refuses a call before it has said anything, and describes itself', async () => {
  await shut();
  await open({ requests: 1 });
  await routing.engine('one', endless);
  const stop = new AbortController();
  const first = all(client.respond({ start: hello }, { signal: stop.signal }));
  await expect.poll(() => chat.inFlight).toBe(1);
  async function* nothing(): AsyncGenerator<Request> {
    await new Promise((resolve) => stop.signal.addEventListener('abort', resolve));
  }
  expect(await all(client.chat(nothing(), { signal: stop.signal }))).toMatchObject({ code: 'QUEUE_FULL' });
  expect(await client.describe({ model: 'toy' })).toMatchObject({ model: { contextTokens: 256 } });
  stop.abort();
  expect(await first).toMatchObject({ code: 'CANCELLED' });
});

test('a client is known by its address', async () => {
  const one = await routing.engine('one', answer);
  await all(client.respond({ start: hello }));
  expect(one.calls.map((call) => call.client)).toEqual(['peer:127.0.0.1']);
});

test('the model is described, and is all that there is in the list', async () => {
  const described = await client.describe({});
  expect(described.model?.info).toMatchObject({ name: 'toy' });
  expect(await client.listModels({ pageSize: 1 })).toMatchObject({ models: [described.model], nextPageToken: '' });
  expect(await client.listModels({})).toMatchObject({ models: [described.model] });
});

async function upload(...bodies: Upload['body'][]): Promise<UploadResponse> {
  async function* sent(): AsyncGenerator<Upload> {
    for (const body of bodies) yield { body };
  }
  return client.upload(sent());
}

const uploads = (media: ReturnType<typeof parts> | undefined): Upload['body'] => ({ $case: 'start', value: { media } });

test.each<[what: string, ask: () => Promise<unknown>, error: object]>([
  ['another model', () => client.describe({ model: 'other' }), { code: 'MODEL_NOT_FOUND', field: 'model' }],
  ['a page of no size', () => client.listModels({ pageSize: -1 }), { code: 'REQUEST_INVALID', field: 'page_size' }],
  ['another page', () => client.listModels({ pageToken: 'x' }), { code: 'REQUEST_INVALID', field: 'page_token' }],
  ['an upload of nothing', () => upload(uploads(undefined)), { code: 'REQUEST_INVALID', field: 'start.media' }],
])('%s is refused by its field', async (_what, ask, error) => {
  await expect(ask()).rejects.toMatchObject(error);
});

test('an upload is kept, or refused by its field', async () => {
  const begins = uploads(parts('a'));
  const picture = samplePicture('apple');
  const sent = (data: Uint8Array): Upload['body'] => ({ $case: 'mediaPart', value: { name: 'a', data, last: true } });
  expect(await upload(begins, sent(picture))).toMatchObject({ sizeBytes: BigInt(picture.length) });
  await expect(upload(begins, sent(Buffer.from('words')))).rejects.toMatchObject({
    code: 'MEDIA_NOT_RECOGNISED',
    field: 'start.media',
  });
  await expect(upload(begins, sent(new Uint8Array(10_001)))).rejects.toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
    field: 'media_part.data',
  });
});

test('an answer cannot be taken up again yet', async () => {
  expect(await all(client.resume({}))).toMatchObject({ code: 'UNSUPPORTED' });
});
