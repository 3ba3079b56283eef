import { deflateSync } from 'node:zlib';
import { pngChunk } from '@tessera/testing/pictures/png';
import { expect, test } from 'vitest';
import {
  distance,
  exifOf,
  pixelAt,
  plane,
  rasterFormNames,
  rasterForms,
  wideTiff,
  withGifCanvas,
} from '../testing/pictures.js';
import { decodeImage } from './decode-image.js';
import { native } from './native.js';
import { probeImage } from './probe-image.js';

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

test.each([
  'PNG',
  'lossless WebP',
  'GIF',
  'AVIF',
  'LZW TIFF',
  'tiled LZW TIFF',
  'packbits TIFF',
  'JPEG in TIFF',
  'tiled JPEG in TIFF',
] as const)('a %s that is damaged in the middle is MEDIA_CORRUPT', async (form) => {
  const bytes = Buffer.from(await rasterForms[form]());
  const middle = bytes.length >> 1;
  for (let i = 0; i < 400; i++) bytes[middle + i] = 0xa5 ^ (i * 31);
  await expect(decodeImage(bytes)).rejects.toMatchObject({ code: 'MEDIA_CORRUPT' });
});

test.each(rasterFormNames)('damage to a %s is never taken for a kind that is not supported', async (form) => {
  const whole = await rasterForms[form]();
  for (let at = 24; at < whole.length; at += Math.max(97, whole.length >> 4)) {
    const bytes = Buffer.from(whole);
    for (let i = at; i < Math.min(at + 200, bytes.length); i++) bytes[i] = 0xa5 ^ (i * 31);
    const outcome = await decodeImage(bytes).then(
      () => 'whole',
      (reason) => reason.code,
    );
    expect(outcome, `at ${at}`).toMatch(/^(?:whole|MEDIA_CORRUPT|MEDIA_TOO_LARGE)$/);
  }
});

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

const profileText = (exif: Buffer) =>
  `\nexif\n      ${exif.length}\n${exif.toString('hex').replace(/.{72}/g, '$&\n')}\n`;
const packedText = (keyword: string, text: string) =>
  pngChunk('zTXt', Buffer.concat([Buffer.from(`${keyword}\0\0`), deflateSync(text)]));

// Where a PNG may say its orientation: [what, chunks before its pixels, chunks behind them].
const exifPlaces: readonly [string, (exif: Buffer) => Buffer[], (exif: Buffer) => Buffer[]][] = [
  ['before its pixels', (exif) => [pngChunk('eXIf', exif)], () => []],
  ['behind its pixels', () => [], (exif) => [pngChunk('eXIf', exif)]],
  ['in packed text', (exif) => [packedText('Raw profile type exif', profileText(exif))], () => []],
  ['in packed text behind', () => [], (exif) => [packedText('Raw profile type APP1', profileText(exif))]],
  [
    'in plain text, with the prefix that JPEG has',
    (exif) => {
      const text = profileText(Buffer.concat([Buffer.from('Exif\0\0'), exif]));
      return [pngChunk('tEXt', Buffer.from(`Raw profile type exif\0${text}`))];
    },
    () => [],
  ],
  [
    'in its chunk, which counts more than text',
    () => [packedText('Raw profile type exif', profileText(exifOf(3)))],
    (exif) => [pngChunk('eXIf', exif)],
  ],
];

test.each(exifPlaces)('the orientation of a PNG counts when it stands %s', async (_, before, behind) => {
  const stored = native(Uint8Array.from([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 0, 0, 255, 255, 255, 0, 255]), {
    raw: { width: 3, height: 2, channels: 3 },
  });
  const png = await stored.png().toBuffer();
  const end = png.length - 12;
  for (const [orientation] of orientations) {
    const exif = exifOf(orientation);
    const bytes = Buffer.concat([
      png.subarray(0, 33),
      ...before(exif),
      png.subarray(33, end),
      ...behind(exif),
      png.subarray(end),
    ]);
    const likeTiff = native(
      await stored.clone().withMetadata({ orientation }).tiff({ compression: 'none' }).toBuffer(),
    );
    const expected = await likeTiff.autoOrient().raw().toBuffer({ resolveWithObject: true });
    const { width, height } = expected.info;
    expect(await probeImage(bytes), `orientation ${orientation}`).toMatchObject({ width, height });
    const raster = await decodeImage(bytes);
    expect(raster, `orientation ${orientation}`).toMatchObject({ width, height });
    expect(Buffer.from(raster.data).equals(expected.data), `orientation ${orientation}`).toBe(true);
  }
});

test('a PNG with a damaged orientation is shown as it is stored', async () => {
  const png = await plane(6, 4, 'red').png().toBuffer();
  const exif = exifOf(6);
  const damaged = [
    pngChunk('eXIf', exif.subarray(0, 15)),
    pngChunk('eXIf', exifOf(9)),
    packedText('Raw profile type exif', 'no digits'),
    pngChunk('zTXt', Buffer.from('Raw profile type exif\0\0not packed at all')),
    // A hundred megabytes of blanks from a hundred kilobytes.
    packedText('Raw profile type exif', ' '.repeat(100_000_000)),
  ];
  for (const [at, chunk] of damaged.entries()) {
    const bytes = Buffer.concat([png.subarray(0, -12), chunk, png.subarray(-12)]);
    expect(await decodeImage(bytes), `chunk ${at}`).toMatchObject({ width: 6, height: 4 });
  }
});

test('the canvas of a GIF shows the background where its frame is not', async () => {
  const frame = await plane(40, 30, 'blue').removeAlpha().gif().toBuffer();
  const clear = await plane(40, 30, '#0000ff00').gif().toBuffer();
  // What is written here has a transparent colour even where none is used; most GIFs have none.
  const opaque = Buffer.from(frame);
  const control = opaque.indexOf(Buffer.from([0x21, 0xf9, 4])) + 3;
  opaque[control] = (opaque[control] as number) & ~1;
  const background = [10, 20, 30];
  for (const [gif, within] of [
    [frame, [0, 0, 255]],
    [clear, background],
    [opaque, [0, 0, 255]],
  ] as const) {
    const bytes = withGifCanvas(gif, { width: 90, height: 60 }, { left: 10, top: 20 });
    expect(await probeImage(bytes)).toMatchObject({ width: 90, height: 60 });
    const raster = await decodeImage(bytes, { background });
    for (const [x, y] of [
      [0, 0],
      [9, 20],
      [50, 49],
      [10, 19],
      [49, 50],
      [89, 59],
    ] as const) {
      expect(pixelAt(raster, x, y), `${x}, ${y}`).toEqual(background);
    }
    for (const [x, y] of [
      [10, 20],
      [49, 49],
      [30, 30],
    ] as const) {
      expect(pixelAt(raster, x, y), `${x}, ${y}`).toEqual(within);
    }
  }
});

test('a GIF whose canvas is 0, or smaller than its frame, is as large as the frame', async () => {
  const gif = await plane(40, 30, 'blue').gif().toBuffer();
  for (const canvas of [
    { width: 0, height: 0 },
    { width: 0, height: 30 },
    { width: 20, height: 10 },
  ]) {
    const raster = await decodeImage(withGifCanvas(gif, canvas));
    expect(raster, JSON.stringify(canvas)).toMatchObject({ width: 40, height: 30 });
    expect(pixelAt(raster, 39, 29)).toEqual([0, 0, 255]);
  }
});

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

test('who leaves while a picture is decoded is not given it', async () => {
  const bytes = await rasterForms.PNG();
  for (const info of [undefined, await probeImage(bytes)]) {
    const leaving = new AbortController();
    const drawing = decodeImage(bytes, { info, signal: leaving.signal });
    leaving.abort();
    await expect(drawing).rejects.toMatchObject({ code: 'CANCELLED' });
  }
});

test('pixels of another size than the header said are MEDIA_CORRUPT, with both sizes', async () => {
  const bytes = await plane(6, 4, 'red').png().toBuffer();
  const info = await probeImage(bytes);
  for (const said of [
    { width: 6, height: 5 },
    { width: 7, height: 4 },
  ]) {
    await expect(decodeImage(bytes, { info: { ...info, ...said } })).rejects.toMatchObject({
      code: 'MEDIA_CORRUPT',
      message: `the picture's header says ${said.width}x${said.height}, its pixels are 6x4`,
    });
  }
});

test.each(['mif1', 'miaf', 'msf1', 'avis', 'heic'])('an AVIF may name the brand %s before its own', async (brand) => {
  const avif = await rasterForms.AVIF();
  const branded = Buffer.from(avif);
  branded.write(brand, 8, 'latin1');
  expect(await probeImage(branded)).toEqual(await probeImage(avif));
  expect((await decodeImage(branded)).data).toEqual((await decodeImage(avif)).data);
  // Nobody's bytes are written to.
  expect(branded.toString('latin1', 8, 12)).toBe(brand);
});

test('a picture in HEVC that says that it is AVIF is of a kind that is not supported', async () => {
  const avif = await rasterForms.AVIF();
  const from = avif.indexOf('av1C') - 4;
  const to = from + avif.readUInt32BE(from);
  // A decoder configuration of version 1 (ISO 14496-15, 8.3.3), without parameter sets, in place of AV1's.
  const configuration = Buffer.alloc(8 + 23);
  configuration.writeUInt32BE(configuration.length);
  configuration.write('hvcC', 4, 'latin1');
  configuration[8] = 1;
  const hevc = Buffer.concat([avif.subarray(0, from), configuration, avif.subarray(to)]);
  const longer = hevc.length - avif.length;
  for (const box of ['meta', 'iprp', 'ipco']) {
    const at = hevc.indexOf(box) - 4;
    hevc.writeUInt32BE(hevc.readUInt32BE(at) + longer, at);
  }
  const pixels = Buffer.alloc(4);
  pixels.writeUInt32BE(avif.indexOf('mdat') + 4);
  hevc.writeUInt32BE(pixels.readUInt32BE() + longer, hevc.indexOf(pixels, hevc.indexOf('iloc')));
  hevc.write('hvc1', hevc.indexOf('av01'), 'latin1');
  await expect(decodeImage(hevc)).rejects.toMatchObject({ code: 'MEDIA_UNSUPPORTED' });
});
