import { expect, test } from 'vitest';
import { longerOf } from './measure-beside.js';

const llm = {
  prefillMs: [{ size: 10, ms: 4 }],
  decodeMs: [
    { size: 1, ms: 2 },
    { size: 3, ms: 4 },
  ],
  contextMs: 10,
};

/** One that was so long on its way, waited so long for a slot, and whose prompt took so long. */
const asked = (wayMs: number, queueMs: number, prefillMs: number) => ({
  firstMs: wayMs + queueMs + prefillMs,
  spent: (_stage: string, name: string) => (name === 'queue' ? queueMs : prefillMs),
});

test('what a request takes longer beside answers is neither the step that they have anyway, nor half of the one under way', () => {
  const alone = [asked(14, 0, 6)];
  // Of three answers with 50 positions in the mean a step takes 4 + 1.5 ms.
  const crowded = [asked(14 + 2.75 + 3, 7, 6 + 5.5 + 2)];
  const longer = longerOf({ alone, crowded, llm }, 3, 100);
  expect(longer.wayMs).toBeCloseTo(3, 9);
  expect(longer.joinMs).toBeCloseTo(2, 9);
});

test('it is that of the one in the middle, and never less than nothing; the others say how much it varies', () => {
  const alone = [asked(20, 0, 8), asked(900, 0, 900), asked(1, 0, 1)];
  const crowded = [asked(10, 0, 8 + 5.5 + 4), asked(40, 0, 700), asked(5, 0, 1)];
  const longer = longerOf({ alone, crowded, llm }, 3, 100);
  expect(longer).toEqual({ wayMs: 0, joinMs: 4, spread: [1, 4, 0.5] });
});
