import { ChatStart, type ContentPart, Role, type TextOptions } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { checkConversation } from './conversation.js';

const limits = { messages: 3, textCharacters: 20, mediaItems: 2, stopTexts: 2, maxSteps: 50, maxGuidance: 8 };

const words = (value: string): ContentPart => ({ part: { $case: 'text', value } });
const shows = (value: string): ContentPart => ({ part: { $case: 'mediaId', value } });
const says = (role: Role, ...content: ContentPart[]) => ({ role, content });
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

const text = (options: Partial<TextOptions>): Partial<ChatStart> => ({ text: { stop: [], ...options } });

test('a conversation at every limit is taken, its media named once, in the order in which they appear', () => {
  const conversation = check({
    messages: [
      says(Role.SYSTEM, words('0123456789')),
      says(Role.ASSISTANT, shows('b')),
      user(shows('b'), words('0123456789')),
    ],
    text: { stop: ['x'.repeat(256), '.'], temperature: 10, topP: 1, topK: 1, maxTokens: 1 },
    draw: { steps: 50, guidance: 8, seed: undefined },
  });
  expect(conversation.mediaIds).toEqual(['b']);
  expect(check({ messages: [user(shows('b'), shows('a'))] }).mediaIds).toEqual(['b', 'a']);
  expect(conversation.text).toMatchObject({ maxTokens: 1, topK: 1 });
  expect(conversation.draw).toMatchObject({ steps: 50, guidance: 8 });
  expect(check({})).toMatchObject({ text: { stop: [] }, draw: {} });
});

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
  [
    'a later system message',
    { messages: [user(words('a')), says(Role.SYSTEM, words('b')), user(words('c'))] },
    'REQUEST_INVALID',
    'messages[1].role',
  ],
  [
    'the assistant speaks last',
    { messages: [user(words('a')), says(Role.ASSISTANT, words('b'))] },
    'REQUEST_INVALID',
    'messages[1].role',
  ],
  ['a part that is nothing', { messages: [user({ part: undefined })] }, 'REQUEST_INVALID', 'messages[0].content[0]'],
  [
    'a media item without a name',
    { messages: [user(words('a'), shows(''))] },
    'REQUEST_INVALID',
    'messages[0].content[1].media_id',
  ],
  [
    'a name of 257 characters',
    { messages: [user(shows('x'.repeat(257)))] },
    'REQUEST_INVALID',
    'messages[0].content[0].media_id',
  ],
  [
    'one character too many',
    { messages: [user(words('x'.repeat(11)), words('y'.repeat(10)))] },
    'PROMPT_TOO_LONG',
    'messages',
  ],
  [
    'one media item too many, though it is the same',
    { messages: [user(shows('a'), shows('a'), shows('a'))] },
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
  ['one stop text too many', text({ stop: ['a', 'b', 'c'] }), 'REQUEST_INVALID', 'text.stop'],
  ['an empty stop text', text({ stop: [''] }), 'REQUEST_INVALID', 'text.stop'],
  ['a stop text of 257 characters', text({ stop: ['x'.repeat(257)] }), 'REQUEST_INVALID', 'text.stop'],
  ['no step', { draw: { steps: 0 } }, 'REQUEST_INVALID', 'draw.steps'],
  ['one step too many', { draw: { steps: 51 } }, 'REQUEST_INVALID', 'draw.steps'],
  ['guidance below none', { draw: { guidance: 0.5 } }, 'REQUEST_INVALID', 'draw.guidance'],
  ['guidance too strong', { draw: { guidance: 8.5 } }, 'REQUEST_INVALID', 'draw.guidance'],
])('%s is refused, by the name of its field', (_why, start, code, field) => {
  expect(refusal(start)).toEqual([code, field]);
});
