import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { long, short, tiffOf } from '../testing/headers.js';
import { distance, pixelAt } from '../testing/pictures.js';
import { decodeImage } from './decode-image.js';
import { native } from './native.js';
import { probeImage } from './probe-image.js';

interface Vector {
  readonly name: string;
  /** Base64. */
  readonly file: string;
  /** Squares of so many pixels stand side by side, each of one colour. */
  readonly side: number;
  readonly tolerance: number;
  readonly shown: readonly (readonly number[])[];
}

// Made by fixtures/make-colour-vectors.py from the definitions of the profiles.
const { background, vectors, refused } = JSON.parse(
  readFileSync(new URL('../../fixtures/colour-vectors.json', import.meta.url), 'utf8'),
) as { background: number[]; vectors: Vector[]; refused: { says: string; file: string }[] };

test.each(vectors)('$name: its colours on a coloured background', async ({ file, side, tolerance, shown }) => {
  const raster = await decodeImage(Buffer.from(file, 'base64'), { background });
  expect(raster).toMatchObject({ width: shown.length * side, height: side });
  const middle = side >> 1;
  const seen = shown.map((_, patch) => pixelAt(raster, patch * side + middle, middle));
  const errors = seen.map((colour, patch) => distance(colour, shown[patch] ?? []));
  expect(Math.max(...errors), `${JSON.stringify(seen)} for ${JSON.stringify(shown)}`).toBeLessThanOrEqual(tolerance);
});

test.each(refused)('a whole file of a kind that is not decoded says so from its header: $says', async (vector) => {
  await expect(probeImage(Buffer.from(vector.file, 'base64'))).rejects.toMatchObject({
    code: 'MEDIA_UNSUPPORTED',
    message: expect.stringContaining(`is of a kind that is not supported: it has ${vector.says}`),
  });
});

test.each([10, 12] as const)(
  'AVIF of %i bits with a profile comes out in the colours that went in',
  async (bitdepth) => {
    for (const rgb of [
      [192, 64, 48],
      [10, 200, 90],
      [128, 128, 128],
    ] as const) {
      const [r, g, b] = rgb;
      const plane = native({ create: { width: 64, height: 32, channels: 3, background: { r, g, b } } });
      const bytes = await plane
        .toColourspace('rgb16')
        .withIccProfile('p3')
        .avif({ bitdepth, quality: 100, chromaSubsampling: '4:4:4' })
        .toBuffer();
      expect(await native(bytes).metadata()).toMatchObject({ bitsPerSample: bitdepth, hasProfile: true });
      expect(distance(pixelAt(await decodeImage(bytes), 32, 16), rgb)).toBeLessThanOrEqual(4);
    }
  },
);

test('a profile that is not for the colours of its picture, or broken, is as good as none', async () => {
  const grey = Buffer.from(vectorOf('PNG of grey, 16 bits, linear grey').file, 'base64');
  const rgb = Buffer.from(vectorOf('PNG of RGB, 16 bits, Display P3').file, 'base64');
  const iccp = (png: Buffer) => {
    const at = png.indexOf('iCCP') - 4;
    return [at, at + 12 + png.readUInt32BE(at)] as const;
  };
  const [from, to] = iccp(rgb);
  const [greyFrom, greyTo] = iccp(grey);
  const foreign = Buffer.concat([rgb.subarray(0, from), grey.subarray(greyFrom, greyTo), rgb.subarray(to)]);
  const none = Buffer.concat([rgb.subarray(0, from), rgb.subarray(to)]);
  const plain = await decodeImage(none);
  expect((await decodeImage(foreign)).data).toEqual(plain.data);
  expect((await decodeImage(rgb)).data).not.toEqual(plain.data);

  const tiff = Buffer.from(vectorOf('little-endian TIFF of RGB, 16 bits, Display P3').file, 'base64');
  expect((await decodeImage(tiff)).data).toEqual((await decodeImage(rgb)).data);
  const broken = Buffer.from(tiff);
  broken.write('none', tiff.indexOf('acsp'), 'latin1');
  expect((await decodeImage(broken)).data).toEqual(plain.data);
});

test('sixteen bits with a profile take more memory while they are decoded, and the header says so', async () => {
  const memoryOf = async (name: string) => {
    const { width, height, memoryBytes } = await probeImage(Buffer.from(vectorOf(name).file, 'base64'));
    return memoryBytes / (width * height);
  };
  expect(await memoryOf('PNG of RGB, 8 bits, Display P3')).toBe(3);
  expect(await memoryOf('PNG of RGB, 16 bits, no profile')).toBe(3);
  expect(await memoryOf('PNG of RGB, 16 bits, Display P3')).toBe(3 + 6);
  expect(await memoryOf('PNG of RGB, 16 bits, Display P3, alpha')).toBe(3 + 8);
  expect(await memoryOf('TIFF of RGB, 8 bits, no profile, alpha and a channel that says nothing')).toBe(3 + 5);
});

test.each([
  ['alpha', [2], true],
  ['a channel that says nothing', [0], false],
  ['alpha and a channel that says nothing', [2, 0], true],
  ['another channel of which the file says nothing, which is alpha', [], true],
  ['two channels of which the file says nothing', [], false, 5],
])('the colours of every row of a TIFF with %s', async (_, extras, isClear, channels = 3 + (extras.length || 1)) => {
  const [width, height, background] = [3, 5, [1, 2, 3]];
  const clear = (pixel: number) => pixel % 4 === 3;
  const colour = (pixel: number) => [10 * pixel, 255 - pixel, 7 + pixel];
  const pixels = Array.from({ length: width * height }, (_, pixel) => pixel);
  const others = (pixel: number) => [clear(pixel) ? 0 : 255, 99].slice(0, channels - 3);
  const samples = pixels.map((pixel) => [...colour(pixel), ...others(pixel)]);
  const fileOf = (pixelsAt: number) =>
    tiffOf('little', false, [
      [256, short, width],
      [257, short, height],
      [258, short, ...Array<number>(channels).fill(8)],
      [259, short, 1],
      [262, short, 2],
      [273, long, pixelsAt],
      [277, short, channels],
      [278, short, height],
      [279, long, samples.length * channels],
      ...(extras.length > 0 ? [[338, short, ...extras] as const] : []),
    ]);
  const tiff = Buffer.concat([fileOf(fileOf(0).length), Buffer.from(samples.flat())]);
  const { data } = await decodeImage(tiff, { background });
  expect([...data]).toEqual(pixels.flatMap((pixel) => (isClear && clear(pixel) ? background : colour(pixel))));
});

function vectorOf(name: string): Vector {
  const vector = vectors.find((other) => other.name === name);
  if (vector === undefined) throw new Error(`no vector ${name}`);
  return vector;
}
