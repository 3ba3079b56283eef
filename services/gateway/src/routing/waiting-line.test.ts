import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { WaitingLine } from './waiting-line.js';

const never = new AbortController().signal;
const newcomer = { avoid: new Set<string>(), first: false };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('those who come first are served first, and among equals who came earlier', async () => {
  const line = new WaitingLine<string>();
  const taken: string[] = [];
  for (const [name, first] of [
    ['a', false],
    ['b', true],
    ['c', false],
    ['d', true],
  ] as const) {
    void line.wait({ ...newcomer, first }, 1000, never).then(() => taken.push(name));
  }
  for (let left = 3; left >= 0; left--) {
    let given = false;
    line.offer(() => {
      if (given) return undefined;
      given = true;
      return 'it';
    });
    await vi.advanceTimersByTimeAsync(0);
    expect(line.length).toBe(left);
  }
  expect(taken).toEqual(['b', 'd', 'a', 'c']);
});

test('an offer ends at the first who gets nothing, unless he is an exception', () => {
  const line = new WaitingLine<string>();
  const picky = { avoid: new Set(['one']), first: false };
  for (const place of [picky, newcomer, newcomer]) void line.wait(place, 1000, never);
  const asked: number[] = [];
  line.offer(({ avoid }) => {
    asked.push(avoid.size);
    return undefined;
  });
  expect(asked).toEqual([1, 0]);
});

test('who was served, was told in vain or has left leaves nothing behind: no place and no timer', async () => {
  const line = new WaitingLine<string>();
  const served = line.wait(newcomer, 1000, never);
  line.offer(() => 'it');
  expect(await served).toBe('it');
  expect([line.length, vi.getTimerCount()]).toEqual([0, 0]);
  const gone = new AbortController();
  const left = line.wait(newcomer, 1000, gone.signal);
  gone.abort(new Error('left'));
  await expect(left).rejects.toThrow('left');
  expect([line.length, vi.getTimerCount()]).toEqual([0, 0]);
  await expect(line.wait(newcomer, 1000, gone.signal)).rejects.toThrow('left');
  expect(line.length).toBe(0);
});

test('a wait ends when its time is over, and a very long one not at once', async () => {
  const line = new WaitingLine<string>();
  const ends: string[] = [];
  void line.wait(newcomer, 1000, never).then((thing) => ends.push(`short ${thing}`));
  void line.wait(newcomer, 2 ** 40, never).then((thing) => ends.push(`long ${thing}`));
  await vi.advanceTimersByTimeAsync(999);
  expect(ends).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(ends).toEqual(['short undefined']);
  expect(line.length).toBe(1);
});
