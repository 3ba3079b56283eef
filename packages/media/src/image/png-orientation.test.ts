import { pngChunk } from '@tessera/testing/pictures/png';
import { expect, test } from 'vitest';
import { long, short, tiffOf } from '../testing/headers.js';
import { exifOf, plane } from '../testing/pictures.js';
import { withEarlyOrientation } from './png-orientation.js';

const png = await plane(6, 4, 'red').png().toBuffer();
const behindPixels = (...chunks: Buffer[]) => Buffer.concat([png.subarray(0, -12), ...chunks, png.subarray(-12)]);

test.each([
  ['there is none', png],
  ['it says that the picture is upright', behindPixels(pngChunk('eXIf', exifOf(1)))],
  ['it says none', behindPixels(pngChunk('eXIf', tiffOf('big', false, [[256, long, 6]])))],
  ['it says 0', behindPixels(pngChunk('eXIf', exifOf(0)))],
  ['it says 9', behindPixels(pngChunk('eXIf', exifOf(9)))],
  ['it is cut', behindPixels(pngChunk('eXIf', exifOf(6).subarray(0, 15)))],
  ['it stands before the pixels', Buffer.concat([png.subarray(0, 33), pngChunk('eXIf', exifOf(6)), png.subarray(33)])],
  ['the file ends within it', behindPixels(pngChunk('eXIf', exifOf(6))).subarray(0, -13)],
])('a PNG stays as it is where its orientation is not to be moved: %s', (_, bytes) => {
  expect(withEarlyOrientation(bytes)).toBe(bytes);
});

test.each([2, 3, 4, 5, 6, 7, 8])(
  'orientation %i is put behind the header, and nothing else is changed',
  (orientation) => {
    const moved = pngChunk('eXIf', tiffOf('big', false, [[274, short, orientation]]).subarray(0, 26));
    for (const late of [
      behindPixels(pngChunk('eXIf', exifOf(orientation))),
      behindPixels(pngChunk('eXIf', exifOf(orientation)), pngChunk('eXIf', exifOf(1))),
      behindPixels(pngChunk('eXIf', exifOf(orientation))).subarray(0, -12),
    ]) {
      const early = Buffer.concat([late.subarray(0, 33), moved, late.subarray(33)]);
      expect(Buffer.from(withEarlyOrientation(late)).equals(early)).toBe(true);
    }
  },
);
