import { expect, test } from 'vitest';
import { type Field, frameOf, jpegOf, segment, short, tiffOf } from '../testing/headers.js';
import { unsupportedVariant } from './unsupported-variant.js';

/** What is said of a JPEG whose frame has this marker and as many bits. */
const ofJpeg = (marker: number, bits = 8) => unsupportedVariant(jpegOf(frameOf(marker, bits, [2, 3])), 'jpeg');

test.each([
  [0xc0, undefined],
  [0xc1, undefined],
  [0xc2, undefined],
  [0xc3, 'lossless coding'],
  [0xc5, 'hierarchical coding'],
  [0xc6, 'hierarchical coding'],
  [0xc7, 'lossless hierarchical coding'],
  [0xc9, undefined],
  [0xca, undefined],
  [0xcb, 'lossless arithmetic coding'],
  [0xcd, 'hierarchical arithmetic coding'],
  [0xce, 'hierarchical arithmetic coding'],
  [0xcf, 'lossless hierarchical arithmetic coding'],
  [0xf7, 'JPEG-LS coding'],
])('a JPEG whose frame has the marker %i: %s', (marker, says) => {
  expect(ofJpeg(marker)).toBe(says);
});

test('a JPEG has 8 bits a sample, or says how many; without a frame it says nothing', () => {
  expect(ofJpeg(0xc1, 12)).toBe('12 bits a sample');
  expect(ofJpeg(0xc1, 7)).toBe('7 bits a sample');
  // The process tells more.
  expect(ofJpeg(0xc3, 12)).toBe('lossless coding');
  expect(unsupportedVariant(jpegOf(segment(0xe0)), 'jpeg')).toBeUndefined();
  expect(unsupportedVariant(jpegOf().subarray(0, 3), 'jpeg')).toBeUndefined();
});

test('what the header of another format holds is not looked at', () => {
  const tiff = tiffOf('big', false, fieldsOf({ [photometric]: [4] }));
  expect(unsupportedVariant(tiff, 'tiff')).toBe('photometric interpretation 4');
  expect(unsupportedVariant(tiff, 'png')).toBeUndefined();
});

const [width, height, bits, compression, photometric, samples] = [256, 257, 258, 259, 262, 277];
const [planes, tileWidth, extraSamples, sampleFormat] = [284, 322, 338, 339];

/** The fields of a plain picture of 8-bit RGB, but for these. */
function fieldsOf(other: Readonly<Record<number, readonly number[]>>): Field[] {
  const fields = { [width]: [3], [height]: [2], [bits]: [8, 8, 8], [compression]: [1], [photometric]: [2] };
  return Object.entries({ ...fields, [samples]: [3], ...other })
    .filter(([, values]) => values.length > 0)
    .map(([tag, values]) => [Number(tag), short, ...values]);
}

const ofTiff = (other: Readonly<Record<number, readonly number[]>>) =>
  unsupportedVariant(tiffOf('little', false, fieldsOf(other)), 'tiff');

// By their numbers in libtiff's tiff.h.
test.each([
  [1, undefined],
  [2, undefined],
  [3, undefined],
  [4, undefined],
  [5, undefined],
  [7, undefined],
  [8, undefined],
  [32_773, undefined],
  [32_946, undefined],
  [50_001, undefined],
  [32_766, 'NeXT'],
  [32_809, 'ThunderScan'],
  [34_661, 'JBIG'],
  [34_676, 'SGI LogLuv'],
  [34_677, 'SGI LogLuv'],
  [34_712, 'JPEG 2000'],
  [34_887, 'LERC'],
  [34_892, 'lossy DNG'],
  [34_925, 'LZMA'],
  [34_926, 'Zstandard'],
  [34_927, 'WebP of an older number'],
  [34_933, 'PNG'],
  [34_934, 'JPEG XR'],
  [50_000, 'Zstandard'],
  [50_002, 'JPEG XL'],
  [52_546, 'JPEG XL'],
])('a TIFF of compression %i: %s', (scheme, name) => {
  expect(ofTiff({ [compression]: [scheme] })).toBe(name === undefined ? undefined : `${name} compression`);
});

test.each([4, 9, 10, 32_803, 32_844, 32_845, 34_892, 51_177, 52_527])(
  'a TIFF of the photometric interpretation %i is not decoded',
  (kind) => {
    expect(ofTiff({ [photometric]: [kind] })).toBe(`photometric interpretation ${kind}`);
    expect(ofTiff({ [photometric]: [kind], [compression]: [50_000] })).toBe('Zstandard compression');
  },
);

const grey = { [photometric]: [1], [bits]: [8], [samples]: [1] };
const inks = { [photometric]: [5], [bits]: [8, 8, 8, 8], [samples]: [4] };
const lab = { [photometric]: [8] };
const all = (count: number, value: number) => Array<number>(count).fill(value);

test.each([
  ['RGB of 8 bits', {}, undefined],
  ['RGB of 16 bits', { [bits]: [16, 16, 16] }, undefined],
  ['RGB of 4 bits', { [bits]: [4, 4, 4] }, '4 bits a sample'],
  ['RGB of 32 bits', { [bits]: [32, 32, 32] }, '32 bits a sample'],
  ['RGB of 64 bits, the most that a file has', { [bits]: [64, 64, 64] }, '64 bits a sample'],
  ['samples of several depths', { [bits]: [8, 16, 8] }, 'samples of 8, 16, 8 bits'],
  ['five channels', { [samples]: [5], [bits]: all(5, 8) }, undefined],
  ['six channels', { [samples]: [6], [bits]: all(6, 8) }, '6 channels'],
  ['as many channels as a file has', { [samples]: [1024] }, '1024 channels'],
  ['grey of 1 bit', { ...grey, [bits]: [1] }, undefined],
  ['grey that does not say its depth, which is 1 bit', { ...grey, [bits]: [] }, undefined],
  ['grey of 2 bits', { ...grey, [bits]: [2] }, undefined],
  ['grey of 3 bits', { ...grey, [bits]: [3] }, '3 bits a sample'],
  ['grey of 4 bits', { ...grey, [bits]: [4] }, undefined],
  ['grey of 8 bits', grey, undefined],
  ['grey of 12 bits', { ...grey, [bits]: [12] }, '12 bits a sample'],
  ['grey of 16 bits', { ...grey, [bits]: [16] }, undefined],
  ['grey of 32 bits', { ...grey, [bits]: [32] }, '32 bits a sample'],
  ['grey and another channel', { ...grey, [samples]: [2], [bits]: [8, 8] }, undefined],
  ['grey and another channel of 4 bits', { ...grey, [samples]: [2], [bits]: [4, 4] }, '4 bits a sample'],
  ['grey and two other channels', { ...grey, [samples]: [3] }, '3 channels of grey'],
  ['four inks', inks, undefined],
  ['three inks', { ...inks, [samples]: [3] }, '3 inks'],
  ['inks of 16 bits', { ...inks, [bits]: all(4, 16) }, undefined],
  ['inks of 8 bits with alpha', { ...inks, [samples]: [5], [bits]: all(5, 8), [extraSamples]: [2] }, undefined],
  [
    'inks of 16 bits with a channel that says nothing',
    { ...inks, [samples]: [5], [bits]: all(5, 16), [extraSamples]: [0] },
    undefined,
  ],
  [
    'inks of 16 bits with alpha that is multiplied in',
    { ...inks, [samples]: [5], [bits]: all(5, 16), [extraSamples]: [1] },
    '16-bit inks with transparency',
  ],
  ['RGB of 16 bits with alpha', { [samples]: [4], [bits]: all(4, 16), [extraSamples]: [2] }, undefined],
  ['CIELab of 16 bits', { ...lab, [bits]: [16, 16, 16] }, undefined],
  ['CIELab of 8 bits', lab, '8 bits a sample'],
  ['samples of an undefined kind', { [sampleFormat]: [4, 4, 4] }, undefined],
  ['one signed sample', { [sampleFormat]: [1, 2, 1] }, 'signed samples'],
  ['one sample of floating point', { [sampleFormat]: [1, 1, 3] }, 'floating-point samples'],
  ['complex integers', { [sampleFormat]: [1, 5, 1] }, 'complex samples'],
  ['complex floating point', { [sampleFormat]: [6, 6, 6] }, 'complex samples'],
  ['separate planes', { [planes]: [2] }, undefined],
  ['tiles', { [tileWidth]: [16] }, undefined],
  ['tiles of separate planes', { [planes]: [2], [tileWidth]: [16] }, 'tiles of separate planes'],
  ['tiles of the one plane that there is', { ...grey, [planes]: [2], [tileWidth]: [16] }, undefined],
])('a TIFF of %s: %#', (_, fields, says) => {
  expect(ofTiff(fields)).toBe(says);
});

// Each is refused for its compression where it is whole.
test.each([
  ['no width', { [width]: [] }],
  ['no height', { [height]: [] }],
  ['no photometric interpretation', { [photometric]: [] }],
  ['more samples than any file has', { [samples]: [1025] }],
  ['a sample of no bits', { [bits]: [8, 0, 8] }],
  ['a sample of more bits than any file has', { [bits]: [8, 8, 65] }],
  ['a sample of no kind', { [sampleFormat]: [1, 0, 1] }],
  ['a sample of an unknown kind', { [sampleFormat]: [1, 1, 7] }],
])('a TIFF with %s is damaged, which decoding tells better', (_, fields) => {
  expect(ofTiff({ [compression]: [50_000] })).toBe('Zstandard compression');
  expect(ofTiff({ [compression]: [50_000], ...fields })).toBeUndefined();
});

test('a TIFF of colours that nobody knows, or one that is cut, is left to the decoder', () => {
  expect(ofTiff({ [photometric]: [7], [samples]: [6] })).toBeUndefined();
  const cut = tiffOf('little', false, fieldsOf({ [compression]: [50_000] })).subarray(0, 40);
  expect(unsupportedVariant(cut, 'tiff')).toBeUndefined();
});
