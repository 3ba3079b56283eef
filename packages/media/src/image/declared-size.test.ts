import { expect, test } from 'vitest';
import { frameOf, jpegOf, segment } from '../testing/headers.js';
import { formatOf, plane, rasterFormNames, rasterForms, withGifCanvas } from '../testing/pictures.js';
import { declaredSize } from './declared-size.js';

test.each(rasterFormNames)('the size of a %s stands in its first fields, where it can be 0', async (form) => {
  const declared = declaredSize(await rasterForms[form](), formatOf(form));
  if (form === 'lossless WebP') expect(declared).toBeUndefined();
  else expect(declared).toMatchObject({ width: 150, height: 101 });
});

test.each(rasterFormNames)('a %s that ends before says none', async (form) => {
  expect(declaredSize((await rasterForms[form]()).subarray(0, 15), formatOf(form))).toBeUndefined();
});

test('the scale that a WebP asks to be shown at is no part of its size', async () => {
  const webp = Buffer.from(await rasterForms['lossy WebP']());
  // The two upper bits of either side (RFC 6386, 9.1).
  webp[27] = (webp[27] as number) | 0xc0;
  webp[29] = (webp[29] as number) | 0x40;
  expect(declaredSize(webp, 'webp')).toEqual({ width: 150, height: 101 });
});

test('a GIF has the size of its canvas, and of its first frame where that is 0, whatever stands between', async () => {
  const gif = await plane(40, 30, 'blue').gif().toBuffer();
  const comment = Buffer.from([0x21, 0xfe, 2, 0x2c, 0x2c, 1, 0x21, 0]);
  const packed = gif[10] as number;
  const frames = 13 + (packed & 0x80 ? 3 << ((packed & 7) + 1) : 0);
  const place = { left: 5, top: 7 };
  for (const [canvas, size] of [
    [
      { width: 300, height: 600 },
      { width: 300, height: 600 },
    ],
    [
      { width: 0, height: 600 },
      { width: 45, height: 600 },
    ],
    [
      { width: 300, height: 0 },
      { width: 300, height: 37 },
    ],
  ] as const) {
    const placed = withGifCanvas(gif, canvas, place);
    expect(declaredSize(placed, 'gif')).toEqual(size);
    const commented = Buffer.concat([placed.subarray(0, frames), comment, comment, placed.subarray(frames)]);
    expect(declaredSize(commented, 'gif')).toEqual(size);
  }
});

test.each([
  ['tables', 0xc4],
  ['a reserved marker', 0xc8],
  ['arithmetic conditioning', 0xcc],
  ['quantisation', 0xdb],
  ['an application', 0xe0],
  ['a comment', 0xfe],
])('%s (%i) is not the frame of a JPEG, which stands behind it', (_, marker) => {
  const other = frameOf(marker, 8, [1, 2]);
  expect(declaredSize(jpegOf(other, segment(marker), frameOf(0xc0, 8, [600, 300])), 'jpeg')).toMatchObject({
    width: 300,
    height: 600,
  });
});

test.each([0xc0, 0xc1, 0xc2, 0xc3, 0xc5, 0xc7, 0xc9, 0xcb, 0xcd, 0xcf, 0xf7])(
  'the frame of a JPEG may have the marker %i, and fill bytes before it',
  (marker) => {
    const fill = [0xff, 0xff, 0xff];
    const bytes = jpegOf(segment(0xe0, 1, 2, 3), fill, frameOf(marker, 12, [600, 300]), frameOf(0xc0, 8, [1, 2]));
    expect(declaredSize(bytes, 'jpeg')).toMatchObject({ process: marker, bits: 12, width: 300, height: 600 });
  },
);

test('a JPEG without a frame says no size', () => {
  expect(declaredSize(jpegOf(segment(0xe0, 1, 2, 3)), 'jpeg')).toBeUndefined();
  expect(declaredSize(jpegOf(segment(0xe0), [1, 2, 3], frameOf(0xc0, 8, [1, 2])), 'jpeg')).toBeUndefined();
});

test('a JPEG that ends before the width of its frame says no size', () => {
  const start = [...segment(0xe0, 1, 2, 3), 0xff];
  const bytes = jpegOf(start, frameOf(0xc0, 8, [600, 300]));
  const end = 2 + start.length + 9;
  for (let length = 0; length < end; length++) {
    expect(declaredSize(bytes.subarray(0, length), 'jpeg'), `${length} bytes`).toBeUndefined();
  }
  expect(declaredSize(bytes.subarray(0, end), 'jpeg')).toMatchObject({ width: 300, height: 600 });
});

test('the first frame of a GIF stands behind its palette, where it has one', () => {
  const places = (...values: number[]) => values.flatMap((value) => [value & 255, value >> 8]);
  const frame = [0x2c, ...places(5, 7, 40, 300), 0];
  // The lower bits of the packed field say how large a palette is; the upper one, whether there is any.
  for (const [packed, palette] of [
    [0x00, 0],
    [0x77, 0],
    [0x80, 6],
    [0xf2, 24],
    [0x87, 768],
  ] as const) {
    const head = [...Buffer.from('GIF89a'), ...places(0, 0), packed, 0, 0, ...Array<number>(palette).fill(0x21)];
    expect(declaredSize(Uint8Array.from([...head, ...frame]), 'gif'), `${packed}`).toEqual({ width: 45, height: 307 });
    expect(declaredSize(Uint8Array.from([...head, 0x3b, ...frame]), 'gif'), `${packed}`).toBeUndefined();
  }
});
