import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MediaDetail, Role, TextOptions } from '@tessera/protocol';
import { collect } from '@tessera/testing/async/collect';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ChatRequest } from './chat-request.js';
import { encodeRequest, requestStream } from './encode-request.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tessera-encode-'));
});
afterAll(() => rm(folder, { recursive: true }));

const encode = (request: ChatRequest) => encodeRequest(request, {}, new AbortController().signal);

const text = (value: string) => ({ part: { $case: 'text', value } });
const media = (value: string) => ({ part: { $case: 'media', value } });

test('messages keep their order, words and roles', async () => {
  const { start } = await encode({
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: ['What', ' is this?'] },
    ],
  });
  expect(start.messages).toEqual([
    { role: Role.SYSTEM, content: [text('Be brief.')] },
    { role: Role.USER, content: [text('What'), text(' is this?')] },
  ]);
  expect(start.media).toEqual([]);
});

test('pictures are declared in the order in which they are shown, under their names, and the same object once', async () => {
  const file = join(folder, 'apple.png');
  await writeFile(file, 'a file');
  const seen = { image: { file }, mimeType: 'image/png', detail: 'high' } as const;
  const { start, media: sent } = await encode({
    messages: [
      { role: 'user', content: [seen, { image: { url: 'data:image/png;base64,AQID' } }, seen, 'What?'] },
      { role: 'user', content: [{ image: { bytes: Buffer.from('bytes') }, name: 'mine' }, seen] },
    ],
  });
  expect(start.messages?.map(({ content }) => content)).toEqual([
    [media('0-apple.png'), media('1-image'), media('0-apple.png'), text('What?')],
    [media('2-mine'), media('0-apple.png')],
  ]);
  const source = { $case: 'parts', value: {} };
  expect(start.media).toEqual([
    { name: '0-apple.png', mimeType: 'image/png', detail: MediaDetail.HIGH, sizeBytes: 6n, source },
    { name: '1-image', sizeBytes: 3n, source },
    { name: '2-mine', sizeBytes: 5n, source },
  ]);
  expect([...sent.values()].map(String)).toEqual(['a file', String(Buffer.from([1, 2, 3])), 'bytes']);
});

test('what the server is told of a request beside the conversation', async () => {
  const facts = { choices: 3, priority: -3, user: 'anna', metadata: { a: 'b' }, templateArguments: { think: true } };
  expect((await encode({ messages: [], ...facts })).start).toMatchObject(facts);
});

test('how to write is sent as it was said, and what was not said is left to the model', async () => {
  const said = {
    maxTokens: 9,
    minTokens: 2,
    temperature: 0.5,
    topP: 0.9,
    topK: 40,
    minP: 0.1,
    repetitionPenalty: 1.1,
    presencePenalty: 0.5,
    frequencyPenalty: -0.5,
    logitBias: { 7: -100 },
    stop: ['.'],
    stopTokenIds: [3],
  };
  const { start } = await encode({ messages: [], text: { ...said, seed: 5 } });
  expect(start.text).toEqual({ ...said, seed: 5n });
  expect(TextOptions.fromPartial(start.text ?? {})).toMatchObject({ ...said, seed: 5n });
  const { start: silent } = await encode({ messages: [], text: {} });
  expect(TextOptions.fromPartial(silent.text ?? {})).toEqual(TextOptions.fromPartial({}));
});

test.each([
  [{ type: 'json_object' } as const, { $case: 'jsonObject', value: {} }],
  [
    { type: 'json_schema', schema: { type: 'null' }, name: 'nothing' } as const,
    { $case: 'jsonSchema', value: { schema: '{"type":"null"}', name: 'nothing' } },
  ],
  [{ type: 'regex', pattern: 'a+' } as const, { $case: 'regex', value: 'a+' }],
])('the form of a text is sent: %j', async (responseFormat, format) => {
  const { start } = await encode({ messages: [], text: { responseFormat } });
  expect(TextOptions.fromPartial(start.text ?? {}).responseFormat).toMatchObject({ format });
});

test('a file that cannot be read is named', async () => {
  const file = join(folder, 'none.png');
  const shown = encode({ messages: [{ role: 'user', content: [{ image: { file } }] }] });
  await expect(shown).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
    message: expect.stringContaining(`${file} cannot be read`),
  });
});

test.each([
  [3, 3n],
  [2n ** 64n - 1n, 2n ** 64n - 1n],
])('a seed of %s is sent', async (seed, sent) => {
  const { start } = await encode({ messages: [], text: { seed }, draw: { seed } });
  expect([start.text?.seed, start.draw?.seed]).toEqual([sent, sent]);
});

test.each([1.5, -1, 2 ** 60, 2n ** 64n, Number.NaN])('a seed of %s is refused', async (seed) => {
  await expect(encode({ messages: [], text: { seed } })).rejects.toMatchObject({ field: 'text.seed' });
  await expect(encode({ messages: [], draw: { seed } })).rejects.toMatchObject({ field: 'draw.seed' });
});

test('media travel in parts, the last one marked, an empty one too', async () => {
  const bytes = Buffer.alloc(600_000, 7);
  const { start, media: items } = await encode({
    messages: [{ role: 'user', content: [{ image: { bytes } }, { image: { bytes: Buffer.alloc(0) } }] }],
  });
  const [first, ...parts] = await collect(requestStream({ start, media: items }));
  expect(first?.body).toEqual({ $case: 'start', value: start });
  const told = parts.flatMap(({ body }) => (body?.$case === 'mediaPart' ? [body.value] : []));
  expect(told.map((part) => [part?.name, part?.data?.length, part?.last])).toEqual([
    ['0-image', 262_144, false],
    ['0-image', 262_144, false],
    ['0-image', 75_712, true],
    ['1-image', 0, true],
  ]);
});

test.each([0, -1, 1.5, Number.NaN, 2 ** 32])('%s choices are refused before anything is sent', async (choices) => {
  await expect(encode({ messages: [], choices })).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
    options: { field: 'choices' },
  });
});
