import { ChatStart, FinishReason, Modality, RequestState, Stage, TesseraError, WeightFormat } from '@tessera/protocol';
import { type RecordedSpans, recordSpans } from '@tessera/service/testing/recorded-spans';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AnswerEventBody } from '../answer/answer-event.js';
import { ChatSpan } from './chat-span.js';

let recorded: RecordedSpans;
let firstTexts: number[];
beforeEach(() => {
  recorded = recordSpans();
  firstTexts = [];
});
afterEach(() => recorded[Symbol.dispose]());

type Start = Parameters<typeof ChatStart.fromPartial>[0];

/** The span of a request of which these events come. */
function spanOf(start: Start, events: AnswerEventBody[], failure?: unknown) {
  {
    using span = new ChatSpan('toy', ChatStart.fromPartial(start), (afterMs) => firstTexts.push(afterMs));
    for (const event of events) span.note(event);
    if (failure !== undefined) span.failed(failure);
  }
  const [span] = recorded.spans;
  if (span === undefined) throw new Error('there is no span');
  return span;
}

const text = (choice: number): AnswerEventBody => ({
  $case: 'textDelta',
  value: { item: 0, choice, text: 'secret', tokenCount: 1, logprobs: [] },
});

const choiceEnd = (choice: number, reason: FinishReason): AnswerEventBody => ({
  $case: 'choiceFinished',
  value: { choice, reason, tokenCount: 1 },
});

const end = (outputMedia: number): AnswerEventBody => ({
  $case: 'finished',
  value: {
    usage: {
      inputTokens: 14,
      cachedInputTokens: 0,
      outputTokens: 2,
      inputByModality: [
        { modality: Modality.TEXT, tokenCount: 5 },
        { modality: Modality.IMAGE, tokenCount: 9 },
      ],
      outputByModality: [],
      outputMedia,
    },
    spans: [],
  },
});

test('what was asked for is told under the names of the conventions, and never a word of it', () => {
  const content = [{ part: { $case: 'text' as const, value: 'secret' } }];
  const start = {
    messages: [{ content }, { content }],
    text: { maxTokens: 7, temperature: 0.5, topP: 0.25, topK: 3 },
    user: 'u-1',
    choices: 2,
  };
  const { name, attributes } = spanOf(start, [text(0)]);
  expect(name).toBe('chat toy');
  expect(attributes).toMatchObject({
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'tessera',
    'gen_ai.request.model': 'toy',
    'gen_ai.request.max_tokens': 7,
    'gen_ai.request.temperature': 0.5,
    'gen_ai.request.top_p': 0.25,
    'gen_ai.request.top_k': 3,
    'gen_ai.request.choice.count': 2,
    'tessera.request.messages': 2,
    'enduser.id': 'u-1',
  });
  expect(JSON.stringify(attributes)).not.toContain('secret');
});

test('what was not said is not told, nor that there is one choice', () => {
  expect(Object.keys(spanOf({ choices: 1 }, []).attributes).sort()).toEqual([
    'gen_ai.operation.name',
    'gen_ai.provider.name',
    'gen_ai.request.model',
    'tessera.request.messages',
  ]);
});

test('the first text is told once, in seconds', () => {
  const { attributes } = spanOf({}, [text(1), text(0), text(1)]);
  expect(firstTexts).toHaveLength(1);
  expect(attributes['gen_ai.response.time_to_first_chunk']).toBe((firstTexts[0] ?? 0) / 1000);
});

test('an answer is told by what it is known by, its states and stages, why its choices ended and what it took', () => {
  const { attributes, events } = spanOf({}, [
    {
      $case: 'accepted',
      value: {
        requestId: 'r',
        model: { name: 'toy', revision: 'r1', weights: WeightFormat.FLOAT32 },
        seed: 2n ** 64n - 1n,
        createTime: new Date(),
        metadata: {},
      },
    },
    { $case: 'stateChanged', value: { state: RequestState.QUEUED, at: undefined } },
    { $case: 'stagesAwaited', value: { stages: [Stage.LLM, Stage.GENERATOR], at: undefined } },
    choiceEnd(1, FinishReason.LENGTH),
    choiceEnd(0, FinishReason.END),
    end(1),
  ]);
  expect(attributes).toMatchObject({
    'gen_ai.response.id': 'r',
    'tessera.request.id': 'r',
    'gen_ai.request.seed': '18446744073709551615',
    'gen_ai.response.model': 'toy@r1',
    'gen_ai.response.finish_reasons': ['end', 'length'],
    'gen_ai.output.type': 'image',
    'gen_ai.usage.input_tokens': 14,
    'gen_ai.usage.output_tokens': 2,
    'tessera.usage.media_tokens': 9,
    'tessera.usage.drawings': 1,
  });
  expect(events.map(({ name, attributes }) => [name, attributes?.['tessera.stages']])).toEqual([
    ['queued', undefined],
    ['awaits', ['llm', 'generator']],
  ]);
});

test('an answer without a drawing is text', () => {
  expect(spanOf({}, [end(0)]).attributes).toMatchObject({ 'gen_ai.output.type': 'text', 'tessera.usage.drawings': 0 });
});

test.each([
  ['QUEUE_FULL', 2],
  ['CANCELLED', 0],
] as const)('one that ends with %s says so, and has failed unless somebody left', (code, status) => {
  const span = spanOf({}, [], new TesseraError(code, 'why'));
  expect(span.attributes['error.type']).toBe(code);
  expect(span.status.code).toBe(status);
});

test('what makes the answer runs inside of its span', () => {
  {
    using outer = new ChatSpan('toy', ChatStart.fromPartial({}), () => undefined);
    outer.within(() => new ChatSpan('toy', ChatStart.fromPartial({}), () => undefined)[Symbol.dispose]());
  }
  const [inner, outer] = recorded.spans;
  expect(inner?.parentSpanContext?.spanId).toBe(outer?.spanContext().spanId);
});
