import { TesseraError } from '@tessera/protocol';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RecentFailures } from './recent-failures.js';

const startMs = 1_000_000;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: startMs });
});
afterEach(() => {
  vi.useRealTimers();
});

const failureOf = (key: string) => new TesseraError('MEDIA_CORRUPT', `${key} is damaged`);

test('a failure is remembered for a minute, each for its own', () => {
  const failures = new RecentFailures();
  const [one, other] = [failureOf('one'), failureOf('other')];
  expect(failures.of('one')).toBeUndefined();
  failures.add('one', one);
  vi.setSystemTime(startMs + 59_999);
  expect(failures.of('one')).toBe(one);
  failures.add('other', other);
  expect([failures.of('one'), failures.of('other')]).toEqual([one, other]);
  vi.setSystemTime(startMs + 60_000);
  expect([failures.of('one'), failures.of('other')]).toEqual([undefined, other]);
  vi.setSystemTime(startMs + 119_998);
  expect(failures.of('other')).toBe(other);
  vi.setSystemTime(startMs + 119_999);
  expect(failures.of('other')).toBeUndefined();
});

test('what failed again is remembered from then on', () => {
  const failures = new RecentFailures();
  failures.add('one', failureOf('one'));
  vi.setSystemTime(startMs + 60_000);
  const again = failureOf('one');
  failures.add('one', again);
  vi.setSystemTime(startMs + 119_999);
  expect(failures.of('one')).toBe(again);
});

test('of more than 1024 the oldest are forgotten, and no others', () => {
  const failures = new RecentFailures();
  const remembered = (count: number) =>
    Array.from({ length: count }, (_, i) => i).filter((i) => failures.of(`${i}`) !== undefined);
  for (let i = 0; i < 1024; i++) failures.add(`${i}`, failureOf(`${i}`));
  expect(remembered(1024)).toHaveLength(1024);
  for (let i = 1024; i < 1027; i++) failures.add(`${i}`, failureOf(`${i}`));
  expect(remembered(1027)).toEqual(Array.from({ length: 1024 }, (_, i) => i + 3));
});
