import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { expect, test } from 'vitest';
import { StopMatcher } from './stop-matcher.js';

/** Of the first stop texts that are complete in a text the longest one, by its beginning; undefined where there is none. */
function firstStop(text: string, stops: readonly string[]): number | undefined {
  for (let end = 1; end <= text.length; end++) {
    const complete = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    if (complete.length > 0) return end - Math.max(...complete.map(({ length }) => length));
  }
  return undefined;
}

/** How much of a text's end is the beginning of a stop text. */
function begun(text: string, stops: readonly string[]): number {
  const lengths = stops.flatMap((stop) => [...stop].map((_, length) => length));
  return Math.max(0, ...lengths.filter((length) => stops.some((stop) => text.endsWith(stop.slice(0, length)))));
}

test('stop texts are found where they are, whatever they repeat and however the text comes in pieces', () => {
  const random = seededRandom(17);
  const letters = (count: number): string =>
    Array.from({ length: count }, () => 'abc'[Math.floor(random() * 2.3)]).join('');
  let found = 0;
  for (let round = 0; round < 1000; round++) {
    const stops = Array.from({ length: 1 + Math.floor(random() * 3) }, () => letters(1 + Math.floor(random() * 9)));
    const text = letters(60);
    const matcher = new StopMatcher(stops);
    let at: number | undefined;
    for (let from = 0; from < text.length && at === undefined; ) {
      const to = Math.min(text.length, from + Math.floor(random() * 5));
      const begins = matcher.push(text.slice(from, to));
      if (begins !== undefined) at = from + begins;
      else expect(matcher.heldLength, `${text.slice(0, to)} with ${stops}`).toBe(begun(text.slice(0, to), stops));
      from = to;
    }
    expect(at, `${text} with ${stops}`).toBe(firstStop(text, stops));
    if (at !== undefined) found++;
  }
  expect(found).toBeGreaterThan(100);
  expect(found).toBeLessThan(1000);
});

test('what has begun is forgotten where it is told to, and without stop texts nothing is held', () => {
  const matcher = new StopMatcher(['abab']);
  expect([matcher.push('xaba'), matcher.heldLength]).toEqual([undefined, 3]);
  matcher.reset();
  expect([matcher.push('b'), matcher.heldLength]).toEqual([undefined, 0]);
  expect(matcher.push('abab')).toBe(0);
  const none = new StopMatcher([]);
  expect([none.push('abab'), none.heldLength]).toEqual([undefined, 0]);
});
