import { expect, test } from 'vitest';
import { Speculator } from './speculator.js';

const repeating = (count: number): number[] => Array.from({ length: count }, (_, n) => n % 3);

/** Guesses of a text that always repeats itself, of which as many come true as is told; the lengths of the guesses. */
function lengths(accepted: (proposed: number) => number, tokens: number, steps: number): number[] {
  const speculator = new Speculator({ tokens, ngram: 2 }, 1000, new Set());
  const found: number[] = [];
  for (let step = 0, positions = 20; step < steps; step++) {
    const { length } = speculator.propose(repeating(positions), 100);
    found.push(length);
    const right = Math.min(length, accepted(length));
    positions += 1 + right;
    if (length > 0) speculator.settle(length, right, positions);
  }
  return found;
}

test('guesses become longer while all of them come true, up to what is allowed', () => {
  expect(lengths((proposed) => proposed, 16, 4)).toEqual([4, 8, 16, 16]);
  expect(lengths((proposed) => proposed, 3, 3)).toEqual([3, 3, 3]);
});

test('guesses are as long as what came true of them', () => {
  expect(lengths(() => 3, 16, 5)).toEqual([4, 3, 6, 3, 6]);
});

test('after guesses of which nothing came true it pauses, twice as long each time, until one does', () => {
  expect(lengths(() => 0, 16, 14)).toEqual([4, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0]);
  const many = lengths(() => 0, 16, 500);
  expect(many.filter((length) => length > 0)).toHaveLength(13);
  let guesses = 0;
  // The fourth guess is right.
  const once = lengths((proposed) => (proposed > 0 && ++guesses === 4 ? proposed : 0), 16, 14);
  expect(once).toEqual([4, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 2, 0, 1]);
});

test('no guess goes over what may come, and none over the end of the text', () => {
  const speculator = new Speculator({ tokens: 8, ngram: 2 }, 1000, new Set([7]));
  expect(speculator.propose([1, 2, 3, 4, 5, 1, 2], 2)).toEqual([3, 4]);
  expect(speculator.propose([1, 2, 3, 4, 5, 1, 2], 0)).toEqual([]);
  expect(speculator.propose([1, 2, 3, 4, 5, 1, 2, 7, 9, 1, 2], 8)).toEqual([]);
  expect(speculator.propose([1, 2, 3, 4, 5, 1, 2, 7, 9, 1, 2, 3, 4, 6, 7, 2, 3], 8)).toEqual([4, 6]);
});
