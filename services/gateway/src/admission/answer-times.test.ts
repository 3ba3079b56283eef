import { expect, test } from 'vitest';
import { AnswerTimes, type WrittenAnswer } from './answer-times.js';

function answered(prefillMs: number, decodeMs: number, facts: Partial<WrittenAnswer> = {}): WrittenAnswer {
  return { timing: { prefillMs, decodeMs }, tokens: 11, hasMedia: false, promptShared: false, ...facts };
}

function outlook(slots: number, load: number) {
  return { engines: 1, slots, places: 100, load, awaitingTiles: 0 };
}

function knowing(...answers: WrittenAnswer[]): AnswerTimes {
  const times = new AnswerTimes();
  for (const answer of answers) times.written(answer);
  return times;
}

test('while nothing is known nothing takes any time', () => {
  const times = knowing();
  expect(times.waitMs(outlook(4, 8))).toBe(0);
  expect(times.drainMs(outlook(4, 8))).toBe(0);
  expect(times.answerMs(undefined, outlook(4, 8))).toEqual({ alone: 0, inCompany: 0 });
});

test.each([
  [4, 3, 0, 1000],
  [4, 4, 250, 1000],
  [4, 8, 1250, 2000],
  [4, 0, 0, 0],
  [0, 0, 0, 0],
])('of %d slots with %d sequences one is free in %d ms, and all are in %d ms', (slots, load, waitMs, drainMs) => {
  const times = knowing(answered(100, 900));
  expect(times.waitMs(outlook(slots, load))).toBe(waitMs);
  expect(times.drainMs(outlook(slots, load))).toBe(drainMs);
});

test('an answer has as many tokens as usual, or as the request allows', () => {
  const times = knowing(answered(100, 1000));
  expect(times.answerMs(undefined, outlook(4, 0))).toEqual({ alone: 1200, inCompany: 0 });
  expect(times.answerMs(50, outlook(4, 0)).alone).toBe(1200);
  expect(times.answerMs(5, outlook(4, 0)).alone).toBe(600);
});

test('what is slower than the fastest that was seen is so by the company, as far as there is any', () => {
  const times = knowing(answered(100, 1000), answered(600, 6000));
  // The newest value counts a fifth: 200 ms, and 200 ms a token.
  const alone = 100 + 11 * 100;
  const more = 200 + 11 * 200 - alone;
  expect(times.answerMs(undefined, outlook(4, 0))).toEqual({ alone, inCompany: 0 });
  expect(times.answerMs(undefined, outlook(4, 2))).toEqual({ alone, inCompany: more / 2 });
  expect(times.answerMs(undefined, outlook(4, 8))).toEqual({ alone, inCompany: more });
  expect(times.answerMs(undefined, outlook(1, 1))).toEqual({ alone, inCompany: more });
});

test.each<[what: string, answer: WrittenAnswer]>([
  ['waited for media', answered(9000, 1000, { hasMedia: true })],
  ['was computed for another choice', answered(1, 1000, { promptShared: true })],
])('a prompt that %s says nothing of how long prompts take', (_what, answer) => {
  expect(knowing(answered(100, 1000), answer).answerMs(undefined, outlook(4, 0)).alone).toBe(1200);
});

test('an answer of one token says nothing of how long tokens take', () => {
  const times = knowing(answered(100, 1000), answered(100, 0, { tokens: 1 }));
  // 9 tokens on average.
  expect(times.answerMs(undefined, outlook(4, 0)).alone).toBe(100 + 9 * 100);
});
