import { expect, test } from 'vitest';
import { ascii, byte, long, long8, short, tiffOf } from '../testing/headers.js';
import { probeImage } from './probe-image.js';
import { tiffColourSamples, tiffHeader } from './tiff-header.js';

const kinds = (['little', 'big'] as const).flatMap((order) =>
  [false, true].flatMap((isBigTiff) =>
    ([short, long] as const).map((type) => ({
      name: `${order}-endian ${isBigTiff ? 'BigTIFF' : 'TIFF'} with ${type === short ? 'shorts' : 'longs'}`,
      order,
      isBigTiff,
      type,
    })),
  ),
);

test.each(kinds)('every field of a $name is read', ({ order, isBigTiff, type }) => {
  const file = tiffOf(order, isBigTiff, [
    [256, type, 300],
    [257, type, 200],
    [258, short, 8, 8, 8, 8, 8],
    [259, short, 50_000],
    [262, short, 2],
    [274, short, 6],
    [277, short, 5],
    [284, short, 2],
    [322, type, 16],
    [338, short, 2, 0],
    [339, short, 1, 1, 1, 1, 3],
  ]);
  expect(tiffHeader(file)).toEqual({
    width: 300,
    height: 200,
    bits: [8, 8, 8, 8, 8],
    compression: 50_000,
    photometric: 2,
    orientation: 6,
    samples: 5,
    inPlanes: true,
    isTiled: true,
    extraSamples: [2, 0],
    sampleFormats: [1, 1, 1, 1, 3],
  });
});

test.each([
  ['little', false],
  ['little', true],
  ['big', false],
  ['big', true],
] as const)(
  'figures of one byte and of eight are read, %s-endian (BigTIFF: %s), and texts are none',
  (order, isBig) => {
    const file = tiffOf(order, isBig, [
      [256, long8, 300],
      [257, byte, 200],
      [258, byte, 8, 16, 8, 1, 2, 3, 4, 5, 6],
      [274, ascii, 6],
      [338, long8, 2, 0],
      [339, byte, 1, 3, 2, 1],
    ]);
    const { width, height, bits, orientation, extraSamples, sampleFormats } = tiffHeader(file);
    expect([width, height, orientation, extraSamples]).toEqual([300, 200, undefined, [2, 0]]);
    expect([bits, sampleFormats]).toEqual([
      [8, 16, 8, 1, 2, 3, 4, 5, 6],
      [1, 3, 2, 1],
    ]);
  },
);

test('of a field of very many values the first 64 are read', () => {
  const bits = Array.from({ length: 70 }, (_, i) => i);
  expect(tiffHeader(tiffOf('big', false, [[258, short, ...bits]])).bits).toEqual(bits.slice(0, 64));
});

test('what a file does not say is what the format takes for granted, and nothing behind its last field is read', () => {
  for (const isBigTiff of [false, true]) {
    const file = tiffOf('little', isBigTiff, [[256, short, 300]]);
    // The file ends with the field: the place of a next directory is missing, and no matter.
    const end = isBigTiff ? 16 + 8 + 20 : 8 + 2 + 12;
    expect(tiffHeader(file.subarray(0, end))).toEqual({
      width: 300,
      height: undefined,
      bits: [1],
      compression: 1,
      photometric: undefined,
      orientation: undefined,
      samples: 1,
      inPlanes: false,
      isTiled: false,
      extraSamples: [],
      sampleFormats: [1],
    });
  }
});

test.each(kinds)('the size of a $name is refused by its figures', async ({ order, isBigTiff, type }) => {
  const sized = (width: number, height: number) =>
    tiffOf(order, isBigTiff, [
      [256, type, width],
      [257, type, height],
    ]);
  await expect(probeImage(sized(30_000, 20_000))).rejects.toMatchObject({
    code: 'MEDIA_TOO_LARGE',
    message: 'the picture has 30000x20000 = 600000000 pixels; the limit is 64000000',
  });
  await expect(probeImage(sized(0, 7))).rejects.toMatchObject({
    code: 'MEDIA_EMPTY',
    message: 'the picture has 0x7 pixels',
  });
  // Within the limits, libvips finds that there is nothing behind it.
  await expect(probeImage(sized(300, 200))).rejects.toMatchObject({ code: 'MEDIA_CORRUPT' });
});

test('a directory that does not lie within the file is an end of the bytes', () => {
  const file = tiffOf('big', false, [[256, short, 300]]);
  expect(() => tiffHeader(file.subarray(0, 12))).toThrow(RangeError);
  file.writeUInt32BE(0xffff_fff0, 4);
  expect(() => tiffHeader(file)).toThrow(RangeError);
});

test.each([
  ['white is zero', 0, 1],
  ['black is zero', 1, 1],
  ['RGB', 2, 3],
  ['a palette', 3, 1],
  ['a mask', 4, undefined],
  ['CMYK', 5, 4],
  ['YCbCr', 6, 3],
  ['CIELab', 8, 3],
  ['a camera sensor', 32_803, undefined],
])('a pixel of %s (%i) has %s samples of colour', (_, photometric, samples) => {
  expect(tiffColourSamples(tiffHeader(tiffOf('big', false, [[262, short, photometric]])))).toBe(samples);
});

test('pixels of no known kind have no known colours', () => {
  expect(tiffColourSamples(tiffHeader(tiffOf('big', false, [])))).toBeUndefined();
});
