import { expect, test } from 'vitest';
import { divideLayers } from './divide-layers.js';

test.each<[string, number[], number, number, number[]]>([
  ['even layers are divided evenly', [1, 1, 1, 1], 0, 2, [2, 2]],
  ['what the first piece has besides counts', [1, 1, 1, 1], 2, 2, [1, 3]],
  ['every piece has a layer, however heavy the first one is', [1, 1, 1], 100, 2, [1, 2]],
  ['a heavy layer is alone', [1, 1, 9, 1, 1], 0, 3, [2, 1, 2]],
  ['as many pieces as layers', [3, 1, 2], 5, 3, [1, 1, 1]],
  ['the others are even where the first is heaviest', [1, 1, 1, 1, 1], 100, 3, [1, 2, 2]],
  ['one piece has all', [3, 1, 2], 5, 1, [3]],
])('%s', (_, layers, first, pieces, expected) => {
  expect(divideLayers(layers, first, pieces)).toEqual(expected);
});

test('no other division has a lighter heaviest piece', () => {
  const layers = [7, 3, 9, 2, 2, 8, 4];
  const heaviest = (sizes: readonly number[]): number => {
    let at = 0;
    return Math.max(
      ...sizes.map((size, piece) => {
        const sum = layers.slice(at, at + size).reduce((total, bytes) => total + bytes, piece === 0 ? 5 : 0);
        at += size;
        return sum;
      }),
    );
  };
  const divisions = (left: number, pieces: number): number[][] =>
    pieces === 1
      ? [[left]]
      : Array.from({ length: left - pieces + 1 }, (_, n) => n + 1).flatMap((size) =>
          divisions(left - size, pieces - 1).map((rest) => [size, ...rest]),
        );
  for (let pieces = 1; pieces <= layers.length; pieces++) {
    const least = Math.min(...divisions(layers.length, pieces).map(heaviest));
    const divided = divideLayers(layers, 5, pieces);
    expect(divided).toHaveLength(pieces);
    expect(heaviest(divided)).toBe(least);
  }
});
