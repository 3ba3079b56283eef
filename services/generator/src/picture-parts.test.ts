import { encodePng } from '@tessera/media';
import { tensor } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { pictureParts } from './picture-parts.js';

const picture = tensor('float32', [3, 4, 4], new Float32Array(48).fill(0.5));

test('a file is cut into parts of the given size, of which the last one says that it is', async () => {
  const file = Buffer.from(await encodePng(picture));
  for (const [partBytes, count] of [
    [file.length + 1, 1],
    [file.length, 1],
    [file.length - 1, 2],
    [Math.ceil(file.length / 3), 3],
  ] as const) {
    const parts = await pictureParts(picture, partBytes);
    expect(parts.map(({ last, mimeType }) => [last, mimeType])).toEqual(
      Array.from({ length: count }, (_, part) => [part === count - 1, 'image/png']),
    );
    expect(parts.slice(0, -1).every(({ data }) => data.length === partBytes)).toBe(true);
    expect(Buffer.concat(parts.map(({ data }) => data)).equals(file)).toBe(true);
  }
});
