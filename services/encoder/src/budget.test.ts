import { expect, test } from 'vitest';
import { Budget } from './budget.js';

const never = new AbortController().signal;
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Takes, and writes down when it was granted. */
function taker(budget: Budget) {
  const granted: string[] = [];
  const held = new Map<string, Disposable>();
  const take = (name: string, amount: number, signal = never) =>
    budget.take(amount, signal).then((hold) => {
      granted.push(name);
      held.set(name, hold);
    });
  return { granted, take, give: (name: string) => held.get(name)?.[Symbol.dispose]() };
}

test('grants in order: a small piece does not overtake a large one for ever', async () => {
  const { granted, take, give } = taker(new Budget(10));
  const all = [take('a', 6), take('large', 9), take('small', 1)];
  await turn();
  expect(granted).toEqual(['a']);
  give('a');
  await turn();
  expect(granted).toEqual(['a', 'large', 'small']);
  await Promise.all(all);
});

test('a piece larger than the total runs alone', async () => {
  const { granted, take, give } = taker(new Budget(10));
  const all = [take('huge', 25), take('next', 1)];
  await turn();
  expect(granted).toEqual(['huge']);
  give('huge');
  await Promise.all(all);
  expect(granted).toEqual(['huge', 'next']);
});

test('one that gives up waiting leaves its place to those behind it', async () => {
  const { granted, take } = taker(new Budget(10));
  const leaving = new AbortController();
  await take('a', 6);
  const large = take('large', 9, leaving.signal);
  const small = take('small', 4);
  leaving.abort(new Error('gone'));
  await expect(large).rejects.toThrow('gone');
  await small;
  expect(granted).toEqual(['a', 'small']);
});
