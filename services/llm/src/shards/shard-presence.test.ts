import { expect, test } from 'vitest';
import { ShardPresence } from './shard-presence.js';

const missing = (count: number) => ({ count });

test('work is taken once all experts were there, and given up only when some were away for long', () => {
  const told: number[] = [];
  const presence = new ShardPresence<{ count: number }>({
    graceMs: 1000,
    inWords: (lacking) => (lacking === undefined ? 'somebody to look' : `${lacking.count} things`),
    onChange: ({ count }) => told.push(count),
  });
  expect(presence.what).toBe('somebody to look');
  expect(presence.holds(0)).toBe(false);
  presence.note(missing(48), 0);
  expect(presence.holds(5000)).toBe(false);
  expect(presence.what).toBe('48 things');
  presence.note(missing(0), 5000);
  expect(presence.holds(5000)).toBe(true);
  expect(told).toEqual([]);
  presence.note(missing(24), 6000);
  // More of them, later: the time counts from the first.
  presence.note(missing(30), 6900);
  expect(presence.holds(6999)).toBe(true);
  expect(presence.holds(7000)).toBe(false);
  // Some are back, which is not enough.
  presence.note(missing(1), 7500);
  expect(presence.holds(7500)).toBe(false);
  expect(presence.what).toBe('1 things');
  presence.note(missing(0), 8000);
  expect(presence.holds(9000)).toBe(true);
  expect(told).toEqual([24, 0]);
  presence.note(missing(1), 9500);
  presence.note(missing(0), 9600);
  expect(presence.holds(99_000)).toBe(true);
  expect(told).toEqual([24, 0, 1, 0]);
});

test('what comes and goes is away all the time; what was there for long is not', () => {
  const presence = new ShardPresence<{ count: number }>({ graceMs: 1000, inWords: () => '', onChange: () => {} });
  presence.note(missing(1), 0);
  presence.note(missing(0), 5000);
  for (let nowMs = 10_000; nowMs < 11_000; nowMs += 250) {
    presence.note(missing(1), nowMs);
    expect(presence.holds(nowMs)).toBe(true);
    presence.note(missing(0), nowMs + 240);
  }
  presence.note(missing(1), 11_000);
  expect(presence.holds(11_000)).toBe(true);
  expect(presence.holds(11_050)).toBe(false);
  presence.note(missing(0), 11_100);
  presence.note(missing(1), 12_100);
  expect(presence.holds(13_099)).toBe(true);
  expect(presence.holds(13_100)).toBe(false);
});
