import { RequestState } from '@tessera/protocol';
import { expect, test } from 'vitest';
import type { AnswerEventBody } from './answer-event.js';
import { ChoiceStates } from './choice-states.js';
import { RequestLifecycle } from './request-lifecycle.js';

const { QUEUED, PREFILLING, DECODING, GENERATING, DONE } = RequestState;

/** What a request's reader is told when its choices go into states, one after the other. */
function told(choices: number, ...steps: readonly (readonly [choice: number, state: RequestState])[]): RequestState[] {
  const events: AnswerEventBody[] = [];
  const states = new ChoiceStates(choices, new RequestLifecycle(() => undefined), (event) => events.push(event));
  for (const [choice, state] of steps) {
    states.of(choice).enter(state);
    expect(states.of(choice).current).toBe(state);
  }
  return events.flatMap((event) => (event.$case === 'stateChanged' ? [event.value.state] : []));
}

test('one choice is the request', () => {
  const way = [QUEUED, PREFILLING, DECODING, QUEUED, PREFILLING, DECODING, GENERATING, DONE];
  expect(told(1, ...way.map((state) => [0, state] as const))).toEqual(way);
  expect(told(1, [0, QUEUED], [0, PREFILLING], [0, PREFILLING])).toEqual([QUEUED, PREFILLING]);
  expect(() => told(1, [0, QUEUED], [0, DONE])).toThrow('cannot go from queued to done');
});

test('a request is as far as the furthest of its choices that are still written, and done with the last', () => {
  const begun = [
    [0, QUEUED],
    [0, PREFILLING],
    [0, DECODING],
    [1, QUEUED],
    [1, PREFILLING],
    [1, DECODING],
  ] as const;
  expect(told(2, ...begun)).toEqual([QUEUED, PREFILLING, DECODING]);
  expect(told(2, ...begun, [1, DONE])).toEqual([QUEUED, PREFILLING, DECODING]);
  expect(told(2, ...begun, [0, DONE], [1, DONE])).toEqual([QUEUED, PREFILLING, DECODING, DONE]);
});

test('it is generating when every text is complete and a drawing is not', () => {
  const begun = [
    [0, QUEUED],
    [0, PREFILLING],
    [0, DECODING],
    [1, QUEUED],
    [1, PREFILLING],
  ] as const;
  expect(told(2, ...begun, [0, GENERATING], [1, GENERATING], [0, DONE], [1, DONE])).toEqual([
    QUEUED,
    PREFILLING,
    DECODING,
    GENERATING,
    DONE,
  ]);
});

test('it waits for an engine when all that are written do', () => {
  const both = (state: RequestState) =>
    [
      [0, state],
      [1, state],
    ] as const;
  const begun = [...both(QUEUED), ...both(PREFILLING), ...both(DECODING)];
  expect(told(2, ...begun, [0, QUEUED])).toEqual([QUEUED, PREFILLING, DECODING]);
  expect(told(2, ...begun, ...both(QUEUED), [1, PREFILLING])).toEqual([
    QUEUED,
    PREFILLING,
    DECODING,
    QUEUED,
    PREFILLING,
  ]);
  // One that is complete waits for nothing; one that has not begun does.
  expect(told(2, [0, QUEUED], [0, PREFILLING], [0, DECODING], [0, DONE])).toEqual([
    QUEUED,
    PREFILLING,
    DECODING,
    QUEUED,
  ]);
});

test('it does not go back from writing to the prompt', () => {
  const begun = [
    [0, QUEUED],
    [0, PREFILLING],
    [0, DECODING],
    [1, QUEUED],
    [1, PREFILLING],
    [0, DONE],
  ] as const;
  expect(told(2, ...begun)).toEqual([QUEUED, PREFILLING, DECODING]);
  expect(told(2, ...begun, [1, DECODING], [1, DONE])).toEqual([QUEUED, PREFILLING, DECODING, DONE]);
});
