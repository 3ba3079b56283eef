import { Modality, type PromptTokens, SegmentRole } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { pictureOf } from '../testing/demo-engine.js';
import { tokenPrompt } from './token-prompt.js';

const model = { tokens: {}, maxPositions: 12, vocabSize: 50 };
const picture = pictureOf({ role: SegmentRole.THUMBNAIL, tokenCount: 2 }, { role: SegmentRole.PART, tokenCount: 3 });
const ids = (count: number) => Array.from({ length: count }, (_, at) => at);
const whole: PromptTokens = {
  tokenIds: ids(9),
  segments: [
    { media: 0, segment: 0, start: 1 },
    { media: 0, segment: 1, start: 4 },
  ],
};

test('ids and places become a prompt as they are', () => {
  expect(tokenPrompt(whole, [picture], model)).toEqual({
    tokenIds: ids(9),
    spans: [
      { item: 0, tile: 0, start: 1, length: 2 },
      { item: 0, tile: 1, start: 4, length: 3 },
    ],
    byModality: [
      { modality: Modality.TEXT, tokenCount: 4 },
      { modality: Modality.IMAGE, tokenCount: 5 },
    ],
  });
});

const place = (media: number, segment: number, start: number) => ({ media, segment, start });

test.each<[why: string, code: string, field: string, prompt: Partial<PromptTokens>]>([
  ['no ids', 'PROMPT_EMPTY', 'tokens.token_ids', { tokenIds: [] }],
  ['an id that the vocabulary does not have', 'REQUEST_INVALID', 'tokens.token_ids[1]', { tokenIds: [1, 50] }],
  ['an item that there is not', 'REQUEST_INVALID', 'tokens.segments[0].media', { segments: [place(1, 0, 0)] }],
  ['a segment that there is not', 'REQUEST_INVALID', 'tokens.segments[0].segment', { segments: [place(0, 2, 0)] }],
  [
    'places that overlap',
    'REQUEST_INVALID',
    'tokens.segments[1].start',
    { segments: [place(0, 0, 1), place(0, 1, 2)] },
  ],
  ['a place beyond the end', 'REQUEST_INVALID', 'tokens.segments[0].start', { segments: [place(0, 1, 7)] }],
  ['a segment without a place', 'REQUEST_INVALID', 'media[0].segments[1]', { segments: [place(0, 0, 1)] }],
  ['no room for an answer', 'PROMPT_TOO_LONG', 'tokens.token_ids', { tokenIds: ids(12) }],
])('%s is refused', (_, code, field, prompt) => {
  const build = () => tokenPrompt({ ...whole, ...prompt }, [picture], model);
  expect(build).toThrow(expect.objectContaining({ code, options: expect.objectContaining({ field }) }));
});
