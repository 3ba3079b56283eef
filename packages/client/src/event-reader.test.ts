import { AnswerEvent, FinishReason, Modality, RequestState, Stage, Work } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { EventReader } from './event-reader.js';

type Told = NonNullable<Parameters<typeof AnswerEvent.fromPartial>[0]['event']>;

const read = (event: Told) => new EventReader().read(AnswerEvent.fromPartial({ event }));

test.each<[string, Told, object | undefined]>([
  [
    'a state',
    { $case: 'stateChanged', value: { state: RequestState.PREFILLING, at: { seconds: 1n, nanos: 500_000_000 } } },
    { type: 'state', state: 'prefilling', atMs: 1500 },
  ],
  [
    'a state that this version does not know',
    { $case: 'stateChanged', value: { state: 99 as RequestState } },
    { type: 'state', state: 'unspecified', atMs: 0 },
  ],
  [
    'stages that are waited for',
    {
      $case: 'stagesAwaited',
      value: { stages: [Stage.ENCODER, 99 as Stage], at: { seconds: 2n, nanos: 0 } },
    },
    { type: 'waiting', stages: ['encoder', 'unspecified'], atMs: 2000 },
  ],
  [
    'a segment',
    { $case: 'segmentArrived', value: { media: 1, segment: 2, tokenCount: 9 } },
    { type: 'segment', media: 1, segment: 2, tokenCount: 9 },
  ],
  [
    'a piece of text',
    { $case: 'textDelta', value: { item: 1, text: 'ab', tokenCount: 2 } },
    { type: 'text', choice: 0, item: 1, text: 'ab', tokenCount: 2 },
  ],
  [
    'a piece of text with log-probabilities',
    {
      $case: 'textDelta',
      value: {
        item: 1,
        text: 'a',
        tokenCount: 1,
        logprobs: [
          {
            token: { tokenId: 5, bytes: Buffer.from('a'), logprob: -0.5 },
            top: [{ tokenId: 6, bytes: Buffer.from('b'), logprob: -0.25 }],
          },
        ],
      },
    },
    {
      type: 'text',
      choice: 0,
      item: 1,
      text: 'a',
      tokenCount: 1,
      logprobs: [
        {
          tokenId: 5,
          bytes: Buffer.from('a'),
          logprob: -0.5,
          top: [{ tokenId: 6, bytes: Buffer.from('b'), logprob: -0.25 }],
        },
      ],
    },
  ],
  [
    'progress of a drawing',
    { $case: 'mediaProgress', value: { item: 1, step: 3, steps: 20 } },
    { type: 'draw_progress', choice: 0, item: 1, step: 3, steps: 20 },
  ],
  [
    'the end of a text',
    { $case: 'choiceFinished', value: { reason: FinishReason.TOOL_CALLS, tokenCount: 4 } },
    { type: 'text_finished', choice: 0, reason: 'tool_calls', tokenCount: 4 },
  ],
  [
    'the end',
    {
      $case: 'finished',
      value: {
        usage: {
          inputTokens: 12,
          cachedInputTokens: 3,
          outputTokens: 4,
          inputByModality: [
            { modality: Modality.TEXT, tokenCount: 3 },
            { modality: Modality.IMAGE, tokenCount: 9 },
          ],
          outputByModality: [{ modality: Modality.TEXT, tokenCount: 4 }],
          outputMedia: 1,
        },
        spans: [
          {
            stage: Stage.ENCODER,
            what: { $case: 'work', value: Work.ENCODE },
            start: { nanos: 2_000_000 },
            duration: { nanos: 500_000 },
            media: 0,
            segment: 1,
          },
        ],
      },
    },
    {
      type: 'finished',
      usage: {
        inputTokens: 12,
        cachedInputTokens: 3,
        outputTokens: 4,
        inputByModality: { text: 3, image: 9 },
        outputByModality: { text: 4 },
        outputMedia: 1,
      },
      timeline: [{ stage: 'encoder', name: 'encode', startMs: 2, durationMs: 0.5, media: 0, segment: 1 }],
    },
  ],
  ['a drain', { $case: 'drain', value: {} }, { type: 'drain' }],
  ['what is not built, not at all', { $case: 'toolCallDelta', value: { arguments: '{}' } }, undefined],
  ['a part of an item that never began, not at all', { $case: 'mediaPart', value: { item: 5, last: true } }, undefined],
])('%s is told in plain values', (_what, told, event) => {
  expect(read(told)).toEqual(event);
});

test('items of two choices that have the same number stay two', () => {
  const reader = new EventReader();
  const readAs = (event: Told) => reader.read(AnswerEvent.fromPartial({ event }));
  const content = { $case: 'media' as const, value: { modality: Modality.IMAGE, mimeType: 'image/png' } };
  const begins = [0, 1].map((choice) => readAs({ $case: 'itemStarted', value: { item: 2, choice, content } }));
  expect(begins).toMatchObject([{ choice: 0 }, { choice: 1 }]);
  readAs({ $case: 'mediaPart', value: { item: 2, choice: 0, data: Buffer.from('a') } });
  readAs({ $case: 'mediaPart', value: { item: 2, choice: 1, data: Buffer.from('x') } });
  const first = readAs({ $case: 'mediaPart', value: { item: 2, choice: 0, data: Buffer.from('b'), last: true } });
  const other = readAs({ $case: 'mediaPart', value: { item: 2, choice: 1, data: Buffer.from('y'), last: true } });
  expect(first).toMatchObject({ type: 'picture', choice: 0, item: 2, bytes: Buffer.from('ab') });
  expect(other).toMatchObject({ type: 'picture', choice: 1, item: 2, bytes: Buffer.from('xy') });
});

test('an event that says nothing is not told', () => {
  expect(new EventReader().read(undefined)).toBeUndefined();
  expect(new EventReader().read(AnswerEvent.fromPartial({}))).toBeUndefined();
});
