import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { expect, test } from 'vitest';
import { PromptLookup } from './prompt-lookup.js';

/** As the class says, by looking at every place. */
function plainly(keys: readonly number[], shortest: number, most: number): number[] {
  const last = keys.length - 1;
  let [best, longest] = [-1, shortest - 1];
  for (let place = last - 1; place >= 0; place--) {
    let length = 0;
    while (length < 8 && length <= place && keys[place - length] === keys[last - length]) length++;
    if (length > longest) [best, longest] = [place, length];
  }
  if (best < 0) return [];
  const text = [...keys];
  for (let n = 0; n < most; n++) {
    const key = text[best + 1 + n] as number;
    if (Number.isNaN(key) || key < 0) break;
    text.push(key);
  }
  return text.slice(keys.length);
}

test('goes on as the text did after the longest of the earlier places that agree, whatever was asked before', () => {
  const random = seededRandom(11);
  const pick = (count: number): number => Math.floor(random() * count);
  let found = 0;
  for (let round = 0; round < 300; round++) {
    const shortest = 1 + pick(3);
    const words = 4 + pick(8);
    // Now and then a place without a token, which is like others of its kind or like nothing.
    const keys = Array.from({ length: 1 + pick(20) }, () => (pick(12) === 0 ? [-7, Number.NaN][pick(2)] : pick(words)));
    const text = keys as number[];
    const lookup = new PromptLookup(shortest, 100);
    while (text.length < 80) {
      const most = pick(12);
      const proposed = lookup.propose(text, most);
      expect(proposed, `round ${round}: ${text}`).toEqual(plainly(text, shortest, most));
      found += proposed.length;
      // Some of it is written, then something else.
      text.push(...proposed.slice(0, pick(proposed.length + 1)), pick(words));
      if (pick(3) === 0) text.push(...text.slice(-pick(10)));
    }
  }
  expect(found).toBeGreaterThan(10_000);
});

test('the longest match goes before the newest, and of equal ones the newest counts', () => {
  const propose = (...keys: number[]): number[] => new PromptLookup(2, 64).propose(keys, 2);
  expect(propose(9, 1, 2, 3, 0, 8, 1, 2, 4, 0, 9, 1, 2)).toEqual([3, 0]);
  expect(propose(9, 1, 2, 3, 0, 8, 1, 2, 4, 0, 7, 1, 2)).toEqual([4, 0]);
  expect(propose(1, 2, 3, 0, 8, 2)).toEqual([]);
});

test('a text that repeats itself to its end goes on so for as long as is asked', () => {
  expect(new PromptLookup(2, 64).propose([5, 1, 2, 3, 1, 2, 3, 1, 2], 8)).toEqual([3, 1, 2, 3, 1, 2, 3, 1]);
  expect(new PromptLookup(1, 64).propose([4, 4], 5)).toEqual([4, 4, 4, 4, 4]);
});

test('what stands in a picture is not proposed, and nothing is from a text that is too short', () => {
  const picture = [-1_000_000_000_001, -1_000_000_000_002];
  expect(new PromptLookup(1, 64).propose([3, 4, ...picture, 5, 3], 8)).toEqual([4]);
  expect(new PromptLookup(1, 64).propose([3, Number.NaN, 5, 3], 8)).toEqual([]);
  expect(new PromptLookup(3, 64).propose([1, 1, 1], 8)).toEqual([]);
  expect(new PromptLookup(3, 64).propose([], 8)).toEqual([]);
});

test('a long text of one word costs no more than others', () => {
  const lookup = new PromptLookup(2, 100_000);
  const text = new Array<number>(100_000).fill(0);
  expect(lookup.propose(text, 4)).toEqual([0, 0, 0, 0]);
  // One word at the end is new: all places agree in less than is enough, and not all are looked at.
  text.push(1, 0, 0, 1);
  expect(lookup.propose(text, 3)).toEqual([0, 0, 1]);
});
