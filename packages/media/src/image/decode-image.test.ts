import { expect, test } from 'vitest';
import { distance, pixelAt, plane, rasterFormNames, rasterForms, wideTiff } from '../testing/pictures.js';
import { decodeImage } from './decode-image.js';
import { native } from './native.js';

test.each(rasterFormNames)('a whole %s decodes to 8-bit RGB of the size that its header says', async (form) => {
  const raster = await decodeImage(await rasterForms[form]());
  expect(raster).toMatchObject({ kind: 'image', width: 150, height: 101 });
  expect(raster.data).toHaveLength(150 * 101 * 3);
});

test.each(rasterFormNames)('a %s cut anywhere in its pixels is MEDIA_CORRUPT', async (form) => {
  const bytes = await rasterForms[form]();
  for (const share of [0.15, 0.3, 0.5, 0.7, 0.9, 0.97]) {
    await expect(decodeImage(bytes.subarray(0, Math.floor(bytes.length * share))), `at ${share}`).rejects.toMatchObject(
      {
        code: 'MEDIA_CORRUPT',
      },
    );
  }
});

test.each(['PNG', 'lossless WebP', 'GIF', 'AVIF', 'LZW TIFF'] as const)(
  'a %s that is damaged in the middle is MEDIA_CORRUPT',
  async (form) => {
    const bytes = Buffer.from(await rasterForms[form]());
    const middle = bytes.length >> 1;
    for (let i = 0; i < 400; i++) bytes[middle + i] = 0xa5 ^ (i * 31);
    await expect(decodeImage(bytes)).rejects.toMatchObject({ code: 'MEDIA_CORRUPT' });
  },
);

// Where the stored picture's top left and top right corners are to be seen (EXIF 2.3, tag 0x0112).
const orientations = [
  [1, 'top left', 'top right'],
  [2, 'top right', 'top left'],
  [3, 'bottom right', 'bottom left'],
  [4, 'bottom left', 'bottom right'],
  [5, 'top left', 'bottom left'],
  [6, 'top right', 'bottom right'],
  [7, 'bottom right', 'top right'],
  [8, 'bottom left', 'top left'],
] as const;

test.each(orientations)(
  'EXIF orientation %i: the first corner is %s, the second %s',
  async (orientation, first, second) => {
    const block = (color: string) => plane(16, 16, color).png().toBuffer();
    const corners = [
      { input: await block('red'), left: 0, top: 0 },
      { input: await block('blue'), left: 48, top: 0 },
    ];
    const picture = plane(64, 32, 'white').composite(corners).withMetadata({ orientation });
    for (const bytes of [
      await picture.clone().jpeg({ quality: 100 }).toBuffer(),
      await picture.clone().tiff().toBuffer(),
    ]) {
      const raster = await decodeImage(bytes);
      const corner = (place: string) =>
        pixelAt(raster, place.includes('left') ? 4 : raster.width - 5, place.includes('top') ? 4 : raster.height - 5);
      expect(distance(corner(first), [255, 0, 0])).toBeLessThan(12);
      expect(distance(corner(second), [0, 0, 255])).toBeLessThan(12);
    }
  },
);

test('transparency lies on the background, white unless another is asked for', async () => {
  const half = await plane(4, 4, '#ff000080').png().toBuffer();
  const clear = await plane(4, 4, '#00ff0000').webp({ lossless: true }).toBuffer();
  expect(distance(pixelAt(await decodeImage(half), 0, 0), [255, 127, 127])).toBeLessThanOrEqual(1);
  expect(pixelAt(await decodeImage(clear), 0, 0)).toEqual([255, 255, 255]);
  expect(pixelAt(await decodeImage(clear, { background: [10, 20, 30] }), 0, 0)).toEqual([10, 20, 30]);
});

test('grey becomes three equal channels, with and without alpha', async () => {
  const grey = native(Uint8Array.from([0, 90, 180, 255]), { raw: { width: 2, height: 2, channels: 1 } });
  const bytes = await grey.toColourspace('b-w').png().toBuffer();
  expect([...(await decodeImage(bytes)).data]).toEqual([0, 0, 0, 90, 90, 90, 180, 180, 180, 255, 255, 255]);

  const withAlpha = native(Uint8Array.from([90, 255, 90, 0]), { raw: { width: 2, height: 1, channels: 2 } });
  const transparent = await withAlpha.toColourspace('b-w').png().toBuffer();
  expect([...(await decodeImage(transparent)).data]).toEqual([90, 90, 90, 255, 255, 255]);
});

test('16 bits a channel keep their upper 8, in PNG and TIFF', async () => {
  const values = Uint16Array.from([0, 0x8000, 0xffff, 0x1280, 0x7f00, 0xfe80]);
  const wide = native(values, { raw: { width: 2, height: 1, channels: 3 } }).toColourspace('rgb16');
  for (const bytes of [await wide.png().toBuffer(), wideTiff(2, 1, values)]) {
    expect(await native(bytes).metadata()).toMatchObject({ depth: 'ushort' });
    expect(distance([...(await decodeImage(bytes)).data], [0, 128, 255, 18, 127, 254])).toBeLessThanOrEqual(1);
  }
});

test.each(['jpeg', 'tiff'] as const)('CMYK %s comes out in the colours that went in', async (format) => {
  // Muted, so that they lie within the gamut of the press.
  for (const [color, rgb] of [
    ['#b04040', [176, 64, 64]],
    ['#408050', [64, 128, 80]],
    ['#ffffff', [255, 255, 255]],
  ] as const) {
    const press = plane(16, 16, color).flatten().toColourspace('cmyk');
    const bytes = await press.toFormat(format, { quality: 100 }).toBuffer();
    expect(await native(bytes).metadata()).toMatchObject({ space: 'cmyk' });
    expect(distance(pixelAt(await decodeImage(bytes), 8, 8), rgb)).toBeLessThan(24);
  }
});

test('a palette GIF keeps its colours, and an animation shows its first frame', async () => {
  const frames = await Promise.all(['red', 'lime', 'blue'].map((color) => plane(8, 8, color).png().toBuffer()));
  for (const bytes of [
    await native(frames, { join: { animated: true } })
      .gif()
      .toBuffer(),
    await native(frames, { join: { animated: true } })
      .webp({ lossless: true })
      .toBuffer(),
  ]) {
    const raster = await decodeImage(bytes);
    expect(raster).toMatchObject({ width: 8, height: 8 });
    expect(pixelAt(raster, 4, 4)).toEqual([255, 0, 0]);
  }
});

test('a picture over the limit is refused before it is decoded', async () => {
  await expect(decodeImage(await rasterForms.PNG(), { limits: { maxPixels: 1000 } })).rejects.toMatchObject({
    code: 'MEDIA_TOO_LARGE',
  });
});

test('an aborted signal stops the work with CANCELLED, a passed deadline with DEADLINE_EXCEEDED', async () => {
  const bytes = await rasterForms.PNG();
  await expect(decodeImage(bytes, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELLED' });
  const late = AbortSignal.abort(new DOMException('late', 'TimeoutError'));
  await expect(decodeImage(bytes, { signal: late })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
});
