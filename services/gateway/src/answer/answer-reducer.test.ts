import {
  type DrawingEvent,
  durationMs,
  durationOf,
  FinishReason,
  type GenerateResponse,
  Modality,
  RequestState,
  Stage,
  Work,
} from '@tessera/protocol';
import { expect, test } from 'vitest';
import type { AnswerEventBody } from './answer-event.js';
import { AnswerReducer } from './answer-reducer.js';
import { ChoiceStates } from './choice-states.js';
import { RequestLifecycle } from './request-lifecycle.js';

type EngineEvent = NonNullable<GenerateResponse['event']>;

const byModality = [
  { modality: Modality.TEXT, tokenCount: 5 },
  { modality: Modality.IMAGE, tokenCount: 9 },
];
const admitted: EngineEvent = { $case: 'admitted', value: { promptTokens: 14, cachedTokens: 0, byModality } };
const timing = { queue: durationOf(1), prefill: durationOf(2), decode: durationOf(3) };

function tokens(text: string, ...tokenIds: number[]): EngineEvent {
  return { $case: 'tokens', value: { tokenIds, text, logprobs: [] } };
}

/** A token whose log-probability is told. */
function likely(text: string, ...tokenIds: number[]): EngineEvent {
  const candidate = (tokenId: number) => ({ tokenId, bytes: Uint8Array.of(tokenId), logprob: -tokenId });
  const logprobs = tokenIds.map((id) => ({ token: candidate(id), top: [candidate(id), candidate(9)] }));
  return { $case: 'tokens', value: { tokenIds, text, logprobs } };
}

function queued(drawing: number): EngineEvent {
  return { $case: 'drawingQueued', value: { drawing } };
}

function ended(tokenCount: number, reason = FinishReason.END, cachedTokens = 0): EngineEvent {
  return { $case: 'finished', value: { reason, tokenCount, timing, cachedTokens } };
}

function progress(drawing: number, sequence: number): DrawingEvent {
  const event = { $case: 'progress' as const, value: { step: sequence + 1, steps: 9 } };
  return { key: { requestId: 'r', attempt: 1, item: drawing }, event, sequence, timing: undefined };
}

function picture(drawing: number, sequence: number, last = true): DrawingEvent {
  const value = { data: Uint8Array.of(drawing), last, mimeType: 'image/png' };
  return {
    key: { requestId: 'r', attempt: 1, item: drawing },
    event: { $case: 'picturePart', value },
    sequence,
    timing: last ? { stage: 'generator', queueMs: 1, busyMs: 2, endedAtMs: Date.now() } : undefined,
  };
}

class Folded {
  readonly events: AnswerEventBody[] = [];
  readonly lifecycle = new RequestLifecycle(() => undefined);
  readonly reducer: AnswerReducer;

  constructor(declaredMedia?: readonly number[]) {
    const { lifecycle } = this;
    const put = (event: AnswerEventBody): void => void this.events.push(event);
    const state = new ChoiceStates(1, lifecycle, put).of(0);
    this.reducer = new AnswerReducer({ choice: 0, state, lifecycle, put, declaredMedia });
    this.reducer.enter(RequestState.QUEUED);
  }

  take(...events: (EngineEvent | DrawingEvent)[]): this {
    for (const event of events) {
      if ('$case' in event) this.reducer.takeEngineEvent(event);
      else this.reducer.takeDrawingEvent(event);
    }
    return this;
  }

  /** What a reader of the answer sees, in short. */
  get story(): string[] {
    return this.events.map((event) => {
      switch (event.$case) {
        case 'stateChanged':
          return RequestState[event.value.state].toLowerCase();
        case 'itemStarted':
          return `${event.value.item} is ${event.value.content?.$case}`;
        case 'textDelta':
          return `${event.value.item}: ${event.value.text} (${event.value.tokenCount})`;
        case 'mediaProgress':
          return `${event.value.item}: step ${event.value.step}`;
        case 'mediaPart':
          return `${event.value.item}: ${event.value.last ? 'last bytes' : 'bytes'}`;
        case 'itemFinished':
          return `${event.value.item} ends`;
        case 'choiceFinished':
          return `${FinishReason[event.value.reason].toLowerCase()} after ${event.value.tokenCount}`;
        default:
          return event.$case;
      }
    });
  }
}

test('words are one item, with every token counted', () => {
  const { story, reducer } = new Folded().take(admitted, tokens('Hel', 1), tokens('lo', 2, 3), tokens('', 4), ended(4));
  const folded = [
    'queued',
    'prefilling',
    'decoding',
    '0 is text',
    '0: Hel (1)',
    '0: lo (2)',
    '0:  (1)',
    '0 ends',
    'end after 4',
  ];
  expect(story).toEqual(folded);
  expect(reducer.drawingsDue).toBe(false);
});

test('a drawing has its place in the text, and text after it is an item of its own', () => {
  const answer = new Folded().take(admitted, tokens('See:', 1), queued(0), tokens('', 2), tokens('Well?', 3));
  answer.take(queued(1), tokens('', 4), progress(1, 0), progress(0, 0), ended(4), picture(1, 1));
  expect(answer.reducer.drawingsDue).toBe(true);
  answer.take(picture(0, 1, false), picture(0, 2));
  expect(answer.reducer.drawingsDue).toBe(false);
  expect(answer.story.slice(3)).toEqual([
    ...['0 is text', '0: See: (1)', '0 ends', '1 is media'],
    // The token that asks has no text; it is counted with those after it.
    ...['2 is text', '2: Well? (2)', '2 ends', '3 is media'],
    ...['3: step 1', '1: step 1', 'end after 4', '3: last bytes', '3 ends'],
    ...['1: bytes', '1: last bytes', '1 ends'],
  ]);
});

test('log-probabilities stay with their tokens: those without text come with the text after them, none twice', () => {
  const answer = new Folded().take(admitted, likely('See', 1, 2), queued(0), likely('', 3), likely('', 4));
  answer.reducer.enter(RequestState.QUEUED);
  answer.take(admitted, likely('We', 5), likely('ll', 6, 7), ended(7));
  const told = answer.events.flatMap((event) => (event.$case === 'textDelta' ? [event.value] : []));
  const ids = told.map(({ logprobs }) => logprobs.map(({ token }) => token?.tokenId));
  expect(ids).toEqual([
    [1, 2],
    [3, 4, 5],
    [6, 7],
  ]);
  for (const { tokenCount, logprobs } of told) expect(logprobs).toHaveLength(tokenCount);
  expect(told[0]?.logprobs[1]?.top.map(({ tokenId }) => tokenId)).toEqual([2, 9]);
});

test('tokens without text do not wait for text without end when log-probabilities are asked for', () => {
  const answer = new Folded().take(admitted, ...Array.from({ length: 700 }, () => likely('', 1)), ended(700));
  const sizes = answer.events.flatMap((event) => (event.$case === 'textDelta' ? [event.value.logprobs.length] : []));
  expect(Math.max(...sizes)).toBe(256);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(700);
});

test('what a generator says before its place in the text is known waits for that', () => {
  const answer = new Folded().take(admitted, queued(0), tokens('a', 1), progress(1, 0), picture(1, 1), tokens('b', 2));
  expect(answer.story.at(-1)).toBe('1: b (1)');
  answer.take(picture(0, 0), queued(1));
  expect(answer.story.slice(-7)).toEqual([
    ...['0: last bytes', '0 ends', '1 ends', '2 is media', '2: step 1', '2: last bytes', '2 ends'],
  ]);
});

test('a further attempt repeats nothing, and a drawing that is queued again keeps its place', () => {
  const answer = new Folded().take(admitted, tokens('a', 1), queued(0), tokens('', 2), progress(0, 0));
  expect(answer.reducer.begun).toBe(true);
  expect(answer.reducer.resumeWithLostDrawings()).toMatchObject({ deliveredTokenIds: [1, 2], queuedDrawings: 0 });
  const before = answer.story.length;
  answer.reducer.enter(RequestState.QUEUED);
  answer.take(admitted, queued(0), tokens('b', 3), progress(0, 0), progress(0, 1), picture(0, 2), ended(3), ended(3));
  expect(answer.story.slice(before)).toEqual([
    ...['queued', 'prefilling', 'decoding', '2 is text', '2: b (2)', '1: step 2', '1: last bytes', '1 ends'],
    ...['2 ends', 'end after 3'],
  ]);
});

test('the end says what it took: tokens by modality, media made, and what happened when', () => {
  const answer = new Folded([3]);
  const encoded = { stage: Stage.ENCODER, queue: durationOf(1), busy: durationOf(2), endTime: new Date() };
  const value = { media: 0, segment: 1, tokenCount: 9, timings: [encoded] };
  answer.take(
    admitted,
    { $case: 'segmentArrived', value },
    tokens('a', 1),
    queued(0),
    picture(0, 0),
    ended(2, FinishReason.END, 5),
  );
  answer.reducer.enter(RequestState.DONE);
  expect(answer.events).toContainEqual({ $case: 'segmentArrived', value: { media: 3, segment: 1, tokenCount: 9 } });
  expect(answer.reducer.usage()).toEqual({
    inputTokens: 14,
    cachedInputTokens: 5,
    outputTokens: 2,
    inputByModality: byModality,
    outputByModality: [{ modality: Modality.TEXT, tokenCount: 2 }],
    outputMedia: 1,
  });
  const works = answer.lifecycle.spans.filter(({ what }) => what?.$case === 'work');
  expect(works).toMatchObject([
    { stage: Stage.ENCODER, what: { value: Work.QUEUE }, media: 3, segment: 1 },
    { stage: Stage.ENCODER, what: { value: Work.ENCODE }, media: 3, segment: 1 },
    { stage: Stage.GENERATOR, what: { value: Work.QUEUE }, item: 1 },
    { stage: Stage.GENERATOR, what: { value: Work.DENOISE }, item: 1 },
    { stage: Stage.LLM, what: { value: Work.DECODE }, choice: 0 },
    { stage: Stage.LLM, what: { value: Work.PREFILL }, choice: 0 },
    { stage: Stage.LLM, what: { value: Work.QUEUE }, choice: 0 },
  ]);
  expect(works.map(({ duration }) => durationMs(duration))).toEqual([1, 2, 1, 2, 3, 2, 1]);
});

test('a segment that a further engine gets again is told once', () => {
  const value = { media: 0, segment: 0, tokenCount: 9, timings: [] };
  const answer = new Folded().take(admitted, { $case: 'segmentArrived', value });
  answer.reducer.enter(RequestState.QUEUED);
  answer.take(admitted, { $case: 'segmentArrived', value });
  expect(answer.events.filter(({ $case }) => $case === 'segmentArrived')).toHaveLength(1);
});

test('what waits of a drawing that was lost is not joined to its next making', () => {
  const answer = new Folded().take(admitted, queued(0), tokens('', 1), picture(1, 0, false));
  answer.reducer.resumeWithLostDrawings();
  answer.reducer.enter(RequestState.QUEUED);
  answer.take(admitted, queued(0), queued(1), picture(1, 0));
  expect(answer.story.slice(-2)).toEqual(['1: last bytes', '1 ends']);
});
