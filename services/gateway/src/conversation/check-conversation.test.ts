import {
  ChatStart,
  type ContentPart,
  Media,
  MediaDetail,
  Modality,
  Role,
  TextOptions,
  unbuiltRequestFields,
} from '@tessera/protocol';
import { expect, test } from 'vitest';
import { checkConversation } from './check-conversation.js';

const limits = {
  messages: 3,
  textCharacters: 20,
  mediaItems: 2,
  itemBytes: 1000,
  stopTexts: 2,
  maxSteps: 50,
  maxGuidance: 8,
  maxPriority: 2,
  choices: 4,
};

const words = (value: string): ContentPart => ({ part: { $case: 'text', value } });
const shows = (value: string): ContentPart => ({ part: { $case: 'media', value } });
const says = (role: Role, ...content: ContentPart[]) => ({ role, content, toolCalls: [], toolCallId: '' });
const user = (...content: ContentPart[]) => says(Role.USER, ...content);

function check(start: Partial<ChatStart>) {
  return checkConversation(ChatStart.fromPartial({ messages: [user(words('Hello!'))], ...start } as ChatStart), limits);
}

/** The error's code and the field that it names. */
function refusal(start: Partial<ChatStart>): [code: string, field: string | undefined] {
  try {
    check(start);
  } catch (reason) {
    const { code, options } = reason as { code: string; options: { field?: string } };
    return [code, options.field];
  }
  return ['OK', undefined];
}

const text = (options: Partial<TextOptions>): Partial<ChatStart> => ({ text: TextOptions.fromPartial(options) });

const parts = { $case: 'parts' as const, value: {} };
const media = (name: string, rest: Partial<Media> = {}): Media =>
  Media.fromPartial({ name, source: parts, ...(rest as object) });
/** A user shows these items, declared so. */
const shown = (...items: Media[]): Partial<ChatStart> => ({
  media: items,
  messages: [user(...items.map(({ name }) => shows(name)))],
});

test('a conversation at every limit is taken, whoever speaks', () => {
  const conversation = check({
    messages: [
      user(shows('b'), words('0123456789')),
      says(Role.SYSTEM, words('0123456789')),
      says(Role.ASSISTANT, shows('x'.repeat(256))),
    ],
    media: [
      media('x'.repeat(256), { sizeBytes: 1000n, modality: Modality.IMAGE, detail: MediaDetail.HIGH }),
      media('b', { source: { $case: 'inline', value: new Uint8Array(1000) } }),
    ],
    text: TextOptions.fromPartial({
      stop: ['x'.repeat(256), '.'],
      temperature: 10,
      topP: 1,
      topK: 1,
      maxTokens: 1,
      repetitionPenalty: 10,
      minTokens: 1,
      minP: 1,
      presencePenalty: -2,
      frequencyPenalty: 2,
      logitBias: { ...biases(1022), 5000: 100, 4294967295: -100 },
      stopTokenIds: new Array(64).fill(4294967295),
    }),
    draw: { steps: 50, guidance: 8, seed: undefined },
    choices: 4,
    user: 'u'.repeat(256),
    metadata: Object.fromEntries(Array.from({ length: 16 }, (_, at) => [`${at}`.padEnd(64, 'k'), 'v'.repeat(512)])),
    templateArguments: { think: true, deep: [{ a: 1 }], text: 'x'.repeat(16_000) },
  });
  expect(conversation.media.map(({ name }) => name)).toEqual(['x'.repeat(256), 'b']);
  expect(conversation.text).toMatchObject({ maxTokens: 1, topK: 1 });
  expect(conversation.draw).toMatchObject({ steps: 50, guidance: 8 });
  expect(check({})).toMatchObject({ text: { stop: [] }, draw: {} });
});

/** A bias for each of so many tokens. */
const biases = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, id) => [id, 1]));

/** An object in an object, and so on. */
function nested(depth: number): Record<string, unknown> {
  return depth === 1 ? {} : { in: nested(depth - 1) };
}

test.each<[why: string, start: Partial<ChatStart>, code: string, field: string | undefined]>([
  ['no message', { messages: [] }, 'PROMPT_EMPTY', 'messages'],
  [
    'one message too many',
    { messages: Array.from({ length: 4 }, () => user(words('a'))) },
    'REQUEST_INVALID',
    'messages',
  ],
  ['no role', { messages: [says(Role.UNSPECIFIED, words('a'))] }, 'REQUEST_INVALID', 'messages[0].role'],
  ['a role that there is not', { messages: [says(77 as Role, words('a'))] }, 'REQUEST_INVALID', 'messages[0].role'],
  ['a part that is nothing', { messages: [user({ part: undefined })] }, 'REQUEST_INVALID', 'messages[0].content[0]'],
  ['a media item without a name', shown(media('')), 'REQUEST_INVALID', 'media[0].name'],
  ['a name of 257 characters', shown(media('x'.repeat(257))), 'REQUEST_INVALID', 'media[0].name'],
  ['a name given twice', shown(media('a'), media('a')), 'REQUEST_INVALID', 'media[1].name'],
  ['bytes that are nowhere', shown(media('a', { source: undefined })), 'REQUEST_INVALID', 'media[0]'],
  [
    'more bytes than allowed, as declared',
    shown(media('a', { sizeBytes: 1001n })),
    'MEDIA_TOO_LARGE',
    'media[0].size_bytes',
  ],
  [
    'more bytes than allowed, inline',
    shown(media('a', { source: { $case: 'inline', value: new Uint8Array(1001) } })),
    'MEDIA_TOO_LARGE',
    'media[0].inline',
  ],
  [
    'a digest that is none',
    shown(media('a', { source: { $case: 'digest', value: 'sha256:0' } })),
    'REQUEST_INVALID',
    'media[0].digest',
  ],
  [
    'an item that is shown and not declared',
    { messages: [user(shows('a'))] },
    'REQUEST_INVALID',
    'messages[0].content[0].media',
  ],
  ['an item that is declared and not shown', { media: [media('a')] }, 'REQUEST_INVALID', 'media[0]'],
  ['one declaration too many', shown(media('a'), media('b'), media('c')), 'MEDIA_TOO_MANY', 'media'],
  ['no choice', { choices: 0 }, 'REQUEST_INVALID', 'choices'],
  ['one choice too many', { choices: 5 }, 'REQUEST_INVALID', 'choices'],
  ['a long user', { user: 'u'.repeat(257) }, 'REQUEST_INVALID', 'user'],
  ['a key without a name', { metadata: { '': 'v' } }, 'REQUEST_INVALID', 'metadata'],
  ['a long key', { metadata: { ['k'.repeat(65)]: 'v' } }, 'REQUEST_INVALID', 'metadata'],
  ['a long value', { metadata: { k: 'v'.repeat(513) } }, 'REQUEST_INVALID', 'metadata'],
  [
    'one entry too many',
    { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, at) => [at, ''])) },
    'REQUEST_INVALID',
    'metadata',
  ],
  ['deep template arguments', { templateArguments: nested(17) }, 'REQUEST_INVALID', 'template_arguments'],
  ['endless template arguments', { templateArguments: nested(2000) }, 'REQUEST_INVALID', 'template_arguments'],
  [
    'long template arguments',
    { templateArguments: { a: 'x'.repeat(16_384) } },
    'REQUEST_INVALID',
    'template_arguments',
  ],
  [
    'one character too many',
    { messages: [user(words('x'.repeat(11)), words('y'.repeat(10)))] },
    'PROMPT_TOO_LONG',
    'messages',
  ],
  [
    'one media item too many, though it is the same',
    { media: [media('a')], messages: [user(shows('a'), shows('a'), shows('a'))] },
    'MEDIA_TOO_MANY',
    'messages',
  ],
  ['nothing but blanks', { messages: [user(words(' \n'))] }, 'PROMPT_EMPTY', 'messages[0].content'],
  ['no token to write', text({ maxTokens: 0 }), 'REQUEST_INVALID', 'text.max_tokens'],
  ['too hot', text({ temperature: 10.1 }), 'REQUEST_INVALID', 'text.temperature'],
  ['below freezing', text({ temperature: -0.1 }), 'REQUEST_INVALID', 'text.temperature'],
  ['no number', text({ temperature: Number.NaN }), 'REQUEST_INVALID', 'text.temperature'],
  ['top_p of nothing', text({ topP: 0 }), 'REQUEST_INVALID', 'text.top_p'],
  ['top_p of more than all', text({ topP: 1.1 }), 'REQUEST_INVALID', 'text.top_p'],
  ['top_k of none', text({ topK: 0 }), 'REQUEST_INVALID', 'text.top_k'],
  ['a penalty of nothing', text({ repetitionPenalty: 0 }), 'REQUEST_INVALID', 'text.repetition_penalty'],
  ['too great a penalty', text({ repetitionPenalty: 11 }), 'REQUEST_INVALID', 'text.repetition_penalty'],
  ['more tokens than may be written', text({ minTokens: 3, maxTokens: 2 }), 'REQUEST_INVALID', 'text.min_tokens'],
  ['a share of more than all', text({ minP: 1.1 }), 'REQUEST_INVALID', 'text.min_p'],
  ['too low a presence penalty', text({ presencePenalty: -2.1 }), 'REQUEST_INVALID', 'text.presence_penalty'],
  ['too great a frequency penalty', text({ frequencyPenalty: 2.1 }), 'REQUEST_INVALID', 'text.frequency_penalty'],
  ['no number as a penalty', text({ frequencyPenalty: Number.NaN }), 'REQUEST_INVALID', 'text.frequency_penalty'],
  ['too great a bias', text({ logitBias: { 5: 1, 7: -101 } }), 'REQUEST_INVALID', 'text.logit_bias[7]'],
  ['one bias too many', text({ logitBias: biases(1025) }), 'REQUEST_INVALID', 'text.logit_bias'],
  ['one stop token too many', text({ stopTokenIds: new Array(65).fill(1) }), 'REQUEST_INVALID', 'text.stop_token_ids'],
  ['one alternative too many', text({ logprobs: { top: 21 } }), 'REQUEST_INVALID', 'text.logprobs.top'],
  ['one stop text too many', text({ stop: ['a', 'b', 'c'] }), 'REQUEST_INVALID', 'text.stop'],
  ['an empty stop text', text({ stop: [''] }), 'REQUEST_INVALID', 'text.stop'],
  ['a stop text of 257 characters', text({ stop: ['x'.repeat(257)] }), 'REQUEST_INVALID', 'text.stop'],
  ['no step', { draw: { steps: 0 } }, 'REQUEST_INVALID', 'draw.steps'],
  ['one step too many', { draw: { steps: 51 } }, 'REQUEST_INVALID', 'draw.steps'],
  ['guidance below none', { draw: { guidance: 0.5 } }, 'REQUEST_INVALID', 'draw.guidance'],
  ['a priority over the limit', { priority: 3 }, 'REQUEST_INVALID', 'priority'],
  ['a priority below all', { priority: -101 }, 'REQUEST_INVALID', 'priority'],
  ['guidance too strong', { draw: { guidance: 8.5 } }, 'REQUEST_INVALID', 'draw.guidance'],
])('%s is refused, by the name of its field', (_why, start, code, field) => {
  expect(refusal(start)).toEqual([code, field]);
});

const call = { id: 'c', name: 'f', arguments: '{}' };

test.each<[field: string, start: Partial<ChatStart>]>([
  ['messages[1].tool_calls', { messages: [user(words('a')), { ...user(words('a')), toolCalls: [call] }] }],
  ['messages[0].tool_call_id', { messages: [{ ...user(words('a')), toolCallId: 'c' }] }],
  ['media[0].modality', shown(media('a', { modality: Modality.AUDIO }))],
  ['media[0].detail', shown(media('a', { detail: MediaDetail.LOW }))],
  ['output_modalities', { outputModalities: [Modality.TEXT] }],
  ['tools', { tools: { tools: [], choice: undefined, parallel: undefined } }],
  ['media[0].detail', shown(media('a', { detail: 7 as MediaDetail }))],
])('%s is laid down and not built: refused by its name, never ignored', (field, start) => {
  expect(refusal(start)).toEqual(['UNSUPPORTED', field]);
});

test('every field that is laid down and not built has its case above', () => {
  expect(unbuiltRequestFields.length).toBe(6);
});
