import { EventQueue } from '@tessera/flow';
import { collect } from '@tessera/testing/async/collect';
import { expect, test } from 'vitest';
import type { AnswerEventBody } from './answer-event.js';
import { joinText, passesText } from './join-text.js';

const delta = (choice: number, text: string, logprobs = 0, item = 0): AnswerEventBody => ({
  $case: 'textDelta',
  value: { item, choice, text, tokenCount: 1, logprobs: Array(logprobs).fill({ token: undefined, top: [] }) },
});
const ends = (choice: number): AnswerEventBody => ({ $case: 'itemFinished', value: { item: 0, choice } });

/** What a reader gets who fetches nothing before the end. */
async function readLate(...events: readonly AnswerEventBody[]): Promise<string[]> {
  const queue = new EventQueue<AnswerEventBody>({ join: joinText, passes: passesText });
  for (const event of events) queue.put(event);
  queue.end();
  return (await collect(queue)).map(({ $case, value }) =>
    $case === 'textDelta' ? `${value.choice}/${value.item}: ${value.text} (${value.tokenCount})` : $case,
  );
}

test('text that waits is one event for each choice', async () => {
  const events = [delta(0, 'a'), delta(1, 'x'), delta(0, 'b'), delta(2, 'u'), delta(1, 'y'), delta(0, 'c')];
  expect(await readLate(...events)).toEqual(['0/0: abc (3)', '1/0: xy (2)', '2/0: u (1)']);
});

test('text passes nothing but text of other choices', async () => {
  expect(await readLate(delta(0, 'a'), ends(1), delta(0, 'b'))).toEqual(['0/0: a (1)', 'itemFinished', '0/0: b (1)']);
  const items = [delta(0, 'a'), delta(1, 'x'), delta(0, 'b', 0, 2), delta(1, 'y'), delta(0, 'c', 0, 2)];
  expect(await readLate(...items)).toEqual(['0/0: a (1)', '1/0: xy (2)', '0/2: bc (2)']);
});

test('log-probabilities are joined up to a bound, and stay in order', async () => {
  const events = [delta(0, 'a', 200), delta(1, 'x'), delta(0, 'b', 100), delta(0, 'c', 1)];
  expect(await readLate(...events)).toEqual(['0/0: a (1)', '1/0: x (1)', '0/0: bc (2)']);
});
