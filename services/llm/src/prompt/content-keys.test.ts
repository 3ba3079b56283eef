import { expect, test } from 'vitest';
import { contentKeys } from './content-keys.js';
import type { TokenSpan } from './prompt.js';

const pad = 7;
/** A prompt of so many positions with visual tokens in these spans, and what stands at its positions. */
function keysOf(length: number, spans: readonly TokenSpan[], digests: readonly Uint8Array[]): number[] {
  const tokenIds = Array.from({ length }, (_, position) => position % 5);
  for (const { start, length: count } of spans) tokenIds.fill(pad, start, start + count);
  return contentKeys({ tokenIds, spans, byModality: [] }, digests);
}

const span = (item: number, tile: number, start: number, length = 4): TokenSpan => ({ item, tile, start, length });
const [one, other] = [Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2, 4)];

test('text is its token ids; what is seen is told apart by its item, its tile and its place, and from text', () => {
  const keys = keysOf(20, [span(0, 0, 2), span(0, 1, 7), span(1, 0, 12)], [one, other]);
  const seen = [...keys.slice(2, 6), ...keys.slice(7, 11), ...keys.slice(12, 16)];
  expect(new Set(seen).size).toBe(12);
  for (const key of seen) expect(Number.isSafeInteger(key) && key < 0).toBe(true);
  expect([...keys.slice(0, 2), keys[6], keys[11], ...keys.slice(16)]).toEqual([0, 1, 1, 1, 1, 2, 3, 4]);
});

test('the same tile has the same numbers, in whichever request, as whichever item and at whichever position', () => {
  const keys = keysOf(20, [span(0, 0, 2), span(0, 0, 10)], [one]);
  expect(keys.slice(10, 14)).toEqual(keys.slice(2, 6));
  expect(keysOf(8, [span(1, 0, 1)], [other, one]).slice(1, 5)).toEqual(keys.slice(2, 6));
});

test('what has no digest is like nothing, not even like itself', () => {
  for (const digests of [[], [new Uint8Array(0)]]) {
    expect(keysOf(6, [span(0, 0, 1)], digests)).toEqual([0, Number.NaN, Number.NaN, Number.NaN, Number.NaN, 0]);
  }
});
