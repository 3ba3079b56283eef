import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { StreamGate, type Turn } from './stream-gate.js';

const never = new AbortController().signal;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  // The pauses without their spread.
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Publishers of one gate, and the order in which they are let through. */
function publishers(gate: StreamGate, names: readonly string[]) {
  const tries: string[] = [];
  const turns = new Map(names.map((name) => [name, gate.enter()]));
  const turn = (name: string): Turn => turns.get(name) as Turn;
  const next = async (name: string, signal = never): Promise<void> => {
    await turn(name).next(signal);
    tries.push(name);
  };
  return { tries, turn, next };
}

/** Everything that needs no time has happened. */
const settled = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

test('with room in the stream all go at once', async () => {
  const gate = new StreamGate();
  const { tries, turn, next } = publishers(gate, ['a', 'b']);
  await Promise.all([next('a'), next('b')]);
  expect(tries).toEqual(['a', 'b']);
  turn('a').accepted();
  await next('b');
  expect(gate.size).toBe(0);
});

test('of those that were refused only the first in line tries, and each one accepted lets the next go at once', async () => {
  const gate = new StreamGate();
  const { tries, turn, next } = publishers(gate, ['a', 'b', 'c', 'd']);
  for (const name of ['a', 'b', 'c']) turn(name).refused();
  for (const name of ['c', 'a', 'b', 'd']) void next(name);
  expect(gate.size).toBe(4);
  await settled();
  expect(tries).toEqual([]);
  await vi.advanceTimersByTimeAsync(25);
  expect(tries).toEqual(['a']);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(tries).toEqual(['a']);
  for (const [at, name] of ['a', 'b', 'c', 'd'].entries()) {
    turn(name).accepted();
    await settled();
    expect(gate.size).toBe(3 - at);
    expect(tries).toEqual(['a', 'b', 'c', 'd'].slice(0, at + 2));
  }
  // The stream is free again: who comes now does not pause.
  await publishers(gate, ['e']).next('e');
});

test('the first in line keeps its place when it is refused again, and its pause doubles up to a second', async () => {
  const gate = new StreamGate();
  const { tries, turn, next } = publishers(gate, ['a', 'b']);
  turn('a').refused();
  turn('b').refused();
  void next('b');
  for (const pauseMs of [25, 50, 100, 200, 400, 800, 1000, 1000]) {
    const before = tries.length;
    const trying = next('a');
    await vi.advanceTimersByTimeAsync(pauseMs - 1);
    expect(tries).toHaveLength(before);
    await vi.advanceTimersByTimeAsync(1);
    await trying;
    turn('a').refused();
    // Of one that stood behind and was under way when the stream became full: no news.
    turn('b').refused();
  }
  expect(new Set(tries)).toEqual(new Set(['a']));
  expect(gate.size).toBe(2);
});

test('the pause is spread over half and one and a half of its length', async () => {
  for (const [random, pauseMs] of [
    [0, 12.5],
    [1, 37.5],
  ] as const) {
    vi.mocked(Math.random).mockReturnValue(random);
    const gate = new StreamGate();
    const { tries, turn, next } = publishers(gate, ['a']);
    turn('a').refused();
    void next('a');
    await vi.advanceTimersByTimeAsync(Math.floor(pauseMs) - 1);
    expect(tries).toEqual([]);
    await vi.advanceTimersByTimeAsync(2);
    expect(tries).toEqual(['a']);
  }
});

test('one that gives up leaves its place: behind the first nobody notices, the first hands on', async () => {
  const gate = new StreamGate();
  const { tries, turn, next } = publishers(gate, ['a', 'b', 'c', 'd']);
  for (const name of ['a', 'b', 'c', 'd']) turn(name).refused();
  const leaving = new Map(['a', 'b'].map((name) => [name, new AbortController()]));
  const ends = ['a', 'b'].map((name) => next(name, leaving.get(name)?.signal).catch((reason: unknown) => reason));
  void next('c');
  void next('d');
  leaving.get('b')?.abort(new Error('b leaves'));
  expect(await ends[1]).toEqual(new Error('b leaves'));
  turn('b')[Symbol.dispose]();
  turn('b')[Symbol.dispose]();
  expect(gate.size).toBe(3);
  leaving.get('a')?.abort(new Error('a leaves'));
  expect(await ends[0]).toEqual(new Error('a leaves'));
  turn('a')[Symbol.dispose]();
  expect(gate.size).toBe(2);
  // It found no room: whoever is first now does not storm on.
  await settled();
  expect(tries).toEqual([]);
  await vi.advanceTimersByTimeAsync(25);
  expect(tries).toEqual(['c']);
  turn('c').accepted();
  await settled();
  expect(tries).toEqual(['c', 'd']);
});

test('one that has given up already does not wait in line', async () => {
  const gate = new StreamGate();
  const { turn, next } = publishers(gate, ['a', 'b']);
  turn('a').refused();
  await expect(next('b', AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
  await expect(next('a', AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
});
