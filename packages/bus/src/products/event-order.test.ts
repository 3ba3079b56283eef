import type { DrawingEvent } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { EventOrder } from './event-order.js';

function event(sequence: number, attempt = 1, item = 0): DrawingEvent {
  return { key: { requestId: 'r', attempt, item }, event: undefined, sequence, timing: undefined };
}

function order() {
  const drawings = new EventOrder<DrawingEvent>();
  return (sequence: number, attempt = 1, item = 0, bytes = 6 * 1024 * 1024) => {
    const { ready, dropped } = drawings.add(attempt, item, event(sequence, attempt, item), bytes);
    return dropped ?? ready.map((one) => one.sequence);
  };
}

test('events come in order, each once', () => {
  const add = order();
  expect(add(1)).toEqual([]);
  expect(add(2)).toEqual([]);
  expect(add(2)).toBe('duplicate');
  expect(add(0)).toEqual([0, 1, 2]);
  expect(add(0)).toBe('duplicate');
  expect(add(3)).toEqual([3]);
});

test('a newer attempt replaces an older one, for its item only', () => {
  const add = order();
  expect(add(0)).toEqual([0]);
  expect(add(0, 1, 1)).toEqual([0]);
  expect(add(2)).toEqual([]);
  expect(add(0, 2)).toEqual([0]);
  expect(add(1)).toBe('stale');
  expect(add(1, 2)).toEqual([1]);
  expect(add(1, 1, 1)).toEqual([1]);
});

test('what waits for its turn is bounded, and the bound is given back', () => {
  const add = order();
  expect(add(1)).toEqual([]);
  expect(add(2)).toEqual([]);
  expect(add(3)).toBe('overflow');
  expect(add(0)).toEqual([0, 1, 2]);
  expect(add(4)).toEqual([]);
  expect(add(5)).toEqual([]);
  expect(add(0, 2)).toEqual([0]);
  expect(add(2, 2)).toEqual([]);
  expect(add(3, 2)).toEqual([]);
});

test('no more than 1024 events of an item wait for their turn, however small, and each time anew', () => {
  const add = order();
  let first = 0;
  for (let round = 0; round < 2; round++) {
    for (let early = 1; early <= 1024; early++) expect(add(first + early, 1, 0, 1)).toEqual([]);
    expect(add(first + 1025, 1, 0, 1)).toBe('overflow');
    // Another item has its own number.
    expect(add(first + 2, 1, 1 + round, 1)).toEqual([]);
    expect(add(first)).toHaveLength(1025);
    first += 1025;
  }
});
