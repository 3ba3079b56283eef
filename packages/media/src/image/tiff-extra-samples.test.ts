import { expect, test } from 'vitest';
import { type Field, long, short, tiffOf } from '../testing/headers.js';
import { withExtraSamples } from './tiff-extra-samples.js';
import { tiffHeader } from './tiff-header.js';

const forms = (['little', 'big'] as const).flatMap((order) => [false, true].map((isBig) => [order, isBig] as const));

const rgb = (samples: number, ...more: Field[]): Field[] => [
  [256, long, 300],
  [257, long, 200],
  [258, short, ...Array<number>(samples).fill(8)],
  [262, short, 2],
  [277, short, samples],
  ...more,
];

test.each(forms)('a %s-endian TIFF (BigTIFF: %s) that is silent on its channels says what they are', (order, isBig) => {
  for (const more of [[], [[339, short, 1]]] as Field[][]) {
    for (const [samples, extraSamples] of [
      [4, [2]],
      [5, [0, 0]],
    ] as const) {
      const tiff = tiffOf(order, isBig, rgb(samples, ...more));
      for (const file of [tiff, tiff.subarray(0, -1)]) {
        const completed = withExtraSamples(file);
        expect(tiffHeader(completed)).toEqual({ ...tiffHeader(file), extraSamples });
        // All of it is even, so that the directory at its end begins at an even place.
        expect(completed.length % 2).toBe(0);
        expect(completed.subarray(16, file.length)).toEqual(file.subarray(16));
      }
    }
  }
});

test.each(forms)('a %s-endian TIFF (BigTIFF: %s) of which nothing is missing stays as it is', (order, isBig) => {
  for (const fields of [
    rgb(3),
    rgb(4, [338, short, 0]),
    // Its photometric interpretation is missing, or unknown.
    rgb(4).filter(([tag]) => tag !== 262),
    rgb(4).map(([tag, type, ...values]): Field => [tag, type, ...(tag === 262 ? [99] : values)]),
    // More channels than any file has that is taken.
    rgb(9),
  ]) {
    const tiff = tiffOf(order, isBig, fields);
    expect(withExtraSamples(tiff)).toBe(tiff);
  }
  const tiff = tiffOf(order, isBig, rgb(4));
  for (let length = 0; length < 60; length++) {
    const cut = tiff.subarray(0, length);
    expect(withExtraSamples(cut), `${length} bytes`).toBe(cut);
  }
});
