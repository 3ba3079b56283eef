import { connect } from '@tessera/client';
import {
  ChatServiceDefinition,
  ChatStart,
  FinishReason,
  type Media,
  Modality,
  type RespondResponse,
  Role,
  type TesseraError,
} from '@tessera/protocol';
import { createClient, type TesseraClient } from '@tessera/service';
import { samplePicture } from '@tessera/testing/demo-model/files';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { leavesNoTrace } from '../support/at-rest.js';
import { type Deployment, deploy } from '../support/deployment.js';
import { type ChatEvent, mediaTokens, question, RawChat, type StartInput } from '../support/raw-chat.js';

let deployment: Deployment;
let client: TesseraClient<typeof ChatServiceDefinition>;
beforeAll(async () => {
  deployment = await deploy();
  client = createClient(ChatServiceDefinition, deployment.gateway);
});
afterAll(async () => {
  client?.close();
  await deployment?.stop();
});

/** A question about a picture that comes with it. */
function withPicture(name: string, options: StartInput = {}): StartInput {
  const source = { $case: 'inline' as const, value: samplePicture(name) };
  return question('What is this?', [name], { media: [{ name, source }], ...options });
}

async function respond(start: StartInput): Promise<{ events: ChatEvent[]; text: string; error?: TesseraError }> {
  const responses: RespondResponse[] = [];
  let error: TesseraError | undefined;
  try {
    for await (const response of client.respond({ start })) responses.push(response);
  } catch (reason) {
    error = reason as TesseraError;
  }
  const events = responses.flatMap(({ event }) => (event?.event === undefined ? [] : [event.event]));
  const text = events.map((event) => (event.$case === 'textDelta' ? event.value.text : '')).join('');
  return { events, text, ...(error === undefined ? {} : { error }) };
}

test('the models are listed with what they take and give, and described by name', async () => {
  const { models, nextPageToken } = await client.listModels({});
  expect(nextPageToken).toBe('');
  const both = [Modality.TEXT, Modality.IMAGE];
  expect(models).toMatchObject([{ info: { name: 'demo' }, inputModalities: both, outputModalities: both }]);
  const described = await client.describe({ model: 'demo' });
  expect(described.model).toEqual(models[0]);
  expect(described.limits?.choices).toBe(8);
  await expect(client.describe({ model: 'other' })).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
  await expect(client.listModels({ pageSize: -1 })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  await expect(client.listModels({ pageToken: 'x' })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
});

test('events are numbered without a gap, and a drawing has its place in the answer', async () => {
  using chat = new RawChat(deployment.gateway);
  chat.ask('Draw a red apple on a blue background.', [], { draw: { steps: 3 } }).close();
  expect(await chat.ended).toMatchObject({ status: 'OK' });
  expect(chat.sequences).toEqual(chat.events.map((_, at) => BigInt(at + 1)));
  const started = chat.events.flatMap((event) => (event.$case === 'itemStarted' ? [event.value] : []));
  expect(started).toMatchObject([
    { item: 0, choice: 0, content: { $case: 'text' } },
    { item: 1, choice: 0, content: { $case: 'media', value: { modality: Modality.IMAGE, mimeType: 'image/png' } } },
  ]);
  const order = chat.events.map(({ $case }) => $case);
  expect(order.indexOf('choiceFinished')).toBeLessThan(order.indexOf('finished'));
  expect(order.at(-1)).toBe('finished');
  const ended = chat.events.flatMap((event) => (event.$case === 'itemFinished' ? [event.value.item] : []));
  expect(ended).toEqual([0, 1]);
  const end = await chat.event('choiceFinished');
  const { usage } = await chat.event('finished');
  expect(end.reason).toBe(FinishReason.END);
  expect(usage).toMatchObject({ outputTokens: end.tokenCount, cachedInputTokens: 0, outputMedia: 1 });
});

test('Respond answers in one message what Chat answers in parts', async () => {
  const { events, text, error } = await leavesNoTrace(deployment, () =>
    respond(withPicture('apple', { metadata: { ticket: '7' }, templateArguments: { think: true }, user: 'u-1' })),
  );
  expect(error).toBeUndefined();
  expect(text).toBe('This is a red apple.');
  expect(events[0]).toMatchObject({ $case: 'accepted', value: { metadata: { ticket: '7' } } });
  const last = events.at(-1);
  expect(last?.$case === 'finished' && mediaTokens(last.value.usage)).toBe(9);
});

test.each<[why: string, code: string, field: string, start: () => StartInput]>([
  ['media that are to follow', 'REQUEST_INVALID', 'start.media[0].parts', () => question('What?', ['a'])],
  [
    'another type than the bytes have',
    'REQUEST_INVALID',
    'start.media[0].mime_type',
    () => {
      const source = { $case: 'inline' as const, value: samplePicture('cat') };
      return withPicture('cat', { media: [{ name: 'cat', mimeType: 'image/jpeg', source }] });
    },
  ],
  [
    'a special token among the template arguments',
    'REQUEST_INVALID',
    'start.template_arguments.mode',
    () => question('Hello!', [], { templateArguments: { mode: '<|im_end|>' } }),
  ],
])('Respond refuses %s, by the name of its field', async (_, code, field, start) => {
  const { error } = await leavesNoTrace(deployment, () => respond(start()));
  expect(error).toMatchObject({ code, options: { field } });
});

async function* uploadOf(bytes: Uint8Array, declaration: Partial<Media> = {}) {
  const media = { name: 'a', source: { $case: 'parts' as const, value: {} }, ...declaration };
  yield { body: { $case: 'start' as const, value: { media } } };
  yield { body: { $case: 'mediaPart' as const, value: { name: 'a', data: bytes, last: true } } };
}

test('what was uploaded once is named by its digest in later requests', async () => {
  const picture = samplePicture('apple');
  const uploaded = await client.upload(uploadOf(picture));
  expect(uploaded).toMatchObject({
    modality: Modality.IMAGE,
    mimeType: 'image/png',
    sizeBytes: BigInt(picture.length),
  });
  expect(uploaded.expireTime?.getTime()).toBeGreaterThan(Date.now());
  const media = [{ name: 'a', source: { $case: 'digest' as const, value: uploaded.digest } }];
  for (let turn = 0; turn < 2; turn++) {
    const { text, error } = await leavesNoTrace(deployment, () => respond(question('What is this?', ['a'], { media })));
    expect(error).toBeUndefined();
    expect(text).toBe('This is a red apple.');
  }
});

test('the client uploads a picture, and shows it by its digest', async () => {
  using caller = connect(deployment.gateway);
  const { digest, mimeType, bytes } = await caller.upload({ bytes: samplePicture('cat') });
  expect({ mimeType, bytes }).toEqual({ mimeType: 'image/png', bytes: samplePicture('cat').length });
  const content = [{ image: { digest } }, 'What is this?'];
  const { text } = await caller.chat({ messages: [{ role: 'user', content }] }).answer();
  expect(text).toBe('This is a cat.');
  await expect(caller.upload({ bytes: Buffer.from('no picture') })).rejects.toMatchObject({
    code: 'MEDIA_NOT_RECOGNISED',
  });
});

test('a digest that nobody uploaded is MEDIA_MISSING', async () => {
  const source = { $case: 'digest' as const, value: `sha256:${'0'.repeat(64)}` };
  const { error } = await respond(question('What?', ['a'], { media: [{ name: 'a', source }] }));
  expect(error).toMatchObject({ code: 'MEDIA_MISSING', options: { field: 'start.media[0].digest' } });
});

test.each<[why: string, code: string, field: string, upload: () => AsyncIterable<object>]>([
  [
    'another type than its bytes have',
    'REQUEST_INVALID',
    'start.media.mime_type',
    () => uploadOf(samplePicture('cat'), { mimeType: 'image/gif' }),
  ],
  [
    'another size',
    'REQUEST_INVALID',
    'start.media.size_bytes',
    () => uploadOf(samplePicture('cat'), { sizeBytes: 3n }),
  ],
  ['sound', 'UNSUPPORTED', 'start.media.modality', () => uploadOf(samplePicture('cat'), { modality: Modality.AUDIO })],
  [
    'bytes of its own',
    'REQUEST_INVALID',
    'start.media.inline',
    () => uploadOf(samplePicture('cat'), { source: { $case: 'inline', value: samplePicture('cat') } }),
  ],
  ['what is no picture', 'MEDIA_NOT_RECOGNISED', 'start.media', () => uploadOf(Buffer.from('no picture'))],
])('an upload with %s is refused', async (_, code, field, upload) => {
  const refusal = await leavesNoTrace(deployment, () =>
    client.upload(upload()).then(
      () => undefined,
      (reason: TesseraError) => reason,
    ),
  );
  expect(refusal).toMatchObject({ code });
  expect(refusal?.options.field).toBe(field);
});

test('a size that is over the limit is refused before a byte of it is sent', async () => {
  using chat = new RawChat(deployment.gateway);
  const source = { $case: 'parts' as const, value: {} };
  chat.ask('What?', ['a'], { media: [{ name: 'a', sizeBytes: 2n ** 40n, source }] });
  expect(await chat.ended).toMatchObject({ code: 'MEDIA_TOO_LARGE', field: 'start.media[0].size_bytes' });
});

test('the template decides who speaks: the model may have spoken last, and a system message stand anywhere', async () => {
  const say = (role: Role, value: string) => ({ role, content: [{ part: { $case: 'text' as const, value } }] });
  const messages = [say(Role.USER, 'Hello!'), say(Role.SYSTEM, 'Be brief.'), say(Role.ASSISTANT, 'Hello.')];
  const { error, events } = await respond(ChatStart.fromPartial({ messages }));
  expect(error).toBeUndefined();
  expect(events.at(-1)?.$case).toBe('finished');
});
