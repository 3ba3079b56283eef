import { expect, test } from 'vitest';
import { Arrivals } from './arrivals.js';

test('a call counts until it is decided on', () => {
  const arrivals = new Arrivals(100);
  const first = arrivals.enter(0);
  const second = arrivals.enter(1);
  expect(arrivals.count(2)).toBe(2);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  expect(arrivals.count(2)).toBe(1);
  second[Symbol.dispose]();
  expect(arrivals.count(2)).toBe(0);
});

test('a call that says nothing lapses, and nobody else does with it', () => {
  const arrivals = new Arrivals(100);
  const silent = arrivals.enter(0);
  arrivals.enter(60);
  expect(arrivals.count(100)).toBe(2);
  expect(arrivals.count(101)).toBe(1);
  silent[Symbol.dispose]();
  expect(arrivals.count(101)).toBe(1);
});
