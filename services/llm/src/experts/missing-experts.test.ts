import { expect, test } from 'vitest';
import { inWords } from './missing-experts.js';

const example = { layer: 2, expert: 5 };

test.each([
  [{ count: 48, example }, 'expert 5 of layer 2 and 47 others'],
  [{ count: 1, example }, 'expert 5 of layer 2'],
  [{ count: 0, example: undefined }, 'every expert'],
])('%j in words', (missing, words) => {
  expect(inWords(missing)).toBe(words);
});
