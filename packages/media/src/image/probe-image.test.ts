import { gzipSync } from 'node:zlib';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { withPngSize } from '@tessera/testing/pictures/png';
import { expect, test } from 'vitest';
import { formatOf, plane, rasterFormNames, rasterForms, svgFile } from '../testing/pictures.js';
import { native } from './native.js';
import { probeImage } from './probe-image.js';

test.each(rasterFormNames)('knows a %s and its size from the header', async (form) => {
  expect(await probeImage(await rasterForms[form]())).toEqual({
    kind: 'image',
    format: formatOf(form),
    width: 150,
    height: 101,
    pages: 1,
    memoryBytes: 150 * 101 * 3,
  });
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])('gives the size as EXIF orientation %i shows it', async (orientation) => {
  const jpeg = await plane(64, 32, 'red').withMetadata({ orientation }).jpeg().toBuffer();
  const upright = orientation < 5 ? { width: 64, height: 32 } : { width: 32, height: 64 };
  expect(await probeImage(jpeg)).toMatchObject(upright);
});

test('reads only the header: a PNG without pixels passes', async () => {
  const png = await rasterForms.PNG();
  expect(await probeImage(png.subarray(0, 120))).toMatchObject({ width: 150, height: 101 });
});

test('no bytes are MEDIA_EMPTY', async () => {
  await expect(probeImage(new Uint8Array())).rejects.toMatchObject({ code: 'MEDIA_EMPTY' });
});

test.each([
  ['text', Buffer.from('hello, this is no picture at all')],
  ['a web page with a drawing', Buffer.from('<!DOCTYPE html><html><body><svg width="1" height="1"/></body></html>')],
  ['one byte', Buffer.from([0xff])],
  ['two bytes of a JPEG and another', Buffer.from([0xff, 0xd8, 0, 0xff])],
  ['the first and third byte of a JPEG', Buffer.from([0xff, 0, 0xff, 0xd8])],
  ['the second and third byte of a JPEG', Buffer.from([0, 0xd8, 0xff, 0xff])],
  ['a RIFF file of another kind', Buffer.from('RIFF\0\0\0\0QLCMfmt ')],
  ['zeros', Buffer.alloc(4096)],
  ['PPM', Buffer.from('P6 1 1 255\n\x00\x00\x00')],
  ['text that begins as BMP does', Buffer.from('BMX is fun, and this is no picture of it')],
  ['JSON', Buffer.from('{"a": "<svg>"}')],
  ['Matlab', Buffer.concat([Buffer.from('MATLAB 5.0 MAT-file'), Buffer.alloc(200)])],
])('%s is MEDIA_NOT_RECOGNISED', async (_, bytes) => {
  await expect(probeImage(bytes)).rejects.toMatchObject({
    code: 'MEDIA_NOT_RECOGNISED',
    message: 'the bytes are no picture of a known format: JPEG, PNG, WebP, GIF, AVIF, TIFF and SVG pictures are taken',
  });
});

const latin1 = (text: string) => Buffer.from(text, 'latin1');

test.each([
  ['a HEIC picture', latin1('\0\0\0\x18ftypheic\0\0\0\0mif1heic')],
  ['a HEIF picture', latin1('\0\0\0\x18ftypmif1\0\0\0\0mif1heic')],
  ['a BMP picture', Buffer.concat([latin1('BM\xff\0\0\0'), Buffer.alloc(100)])],
  ['an ICO icon', Buffer.concat([latin1('\0\0\x01\0\x01\0'), Buffer.alloc(100)])],
  ['a CUR pointer', Buffer.concat([latin1('\0\0\x02\0\x01\0'), Buffer.alloc(100)])],
  ['a JPEG XL picture', latin1('\xff\x0a\x00\x00')],
  ['a JPEG XL picture', latin1('\0\0\0\x0cJXL \r\n\x87\n')],
  ['a JPEG 2000 picture', latin1('\0\0\0\x0cjP  \r\n\x87\n')],
  ['a JPEG 2000 picture', latin1('\xff\x4f\xff\x51\0\x2f')],
  ['a JPEG 2000 picture', latin1('\0\0\0\x14ftypjp2 \0\0\0\0jp2 ')],
  ['a JPEG XR picture', latin1('II\xbc\x01\x20\0\0\0')],
  ['a PDF document', latin1('%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj')],
  ['a PostScript document', latin1('%!PS-Adobe-3.0 EPSF-3.0\n')],
  ['a Photoshop document', latin1('8BPS\0\x01\0\0')],
  ['an OpenEXR picture', latin1('v/1\x01\x02\0\0\0')],
  ['a Radiance picture', latin1('#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n')],
  ['a QOI picture', latin1('qoif\0\0\0\x08\0\0\0\x08\x03\0')],
  ['a DDS texture', latin1('DDS |\0\0\0')],
  ['a FITS picture', latin1('SIMPLE  =                    T')],
  ['a DjVu document', latin1('AT&TFORM\0\0\0\x20DJVU')],
  ['a WMF drawing', latin1('\xd7\xcd\xc6\x9a\0\0')],
  ['a ZIP archive', latin1('PK\x03\x04\x14\0')],
  ['a Canon raw picture', latin1('\0\0\0\x18ftypcrx \0\0\0\x01crx isom')],
  ['a film', latin1('\0\0\0\x18ftypisom\0\0\0\0isomavc1')],
  ['a Matroska or WebM film', latin1('\x1a\x45\xdf\xa3\x9f\x42\x86')],
  ['an AVI film', latin1('RIFF\0\0\0\0AVI LIST')],
  ['gzip data (an SVGZ drawing, perhaps)', gzipSync(svgFile('width="8" height="8"', '<rect/>'))],
])('%s is MEDIA_NOT_RECOGNISED by its name: %#', async (name, bytes) => {
  await expect(probeImage(bytes)).rejects.toMatchObject({
    code: 'MEDIA_NOT_RECOGNISED',
    message: `the bytes are ${name}: JPEG, PNG, WebP, GIF, AVIF, TIFF and SVG pictures are taken`,
  });
});

test('random bytes are MEDIA_NOT_RECOGNISED, whatever their length', async () => {
  const random = seededRandom(3);
  for (let length = 1; length < 4000; length = length * 2 + 1) {
    const bytes = Uint8Array.from({ length }, () => 256 * random());
    await expect(probeImage(bytes)).rejects.toMatchObject({ code: 'MEDIA_NOT_RECOGNISED' });
  }
});

test.each(rasterFormNames)('a %s cut within its header is MEDIA_CORRUPT', async (form) => {
  const bytes = await rasterForms[form]();
  // TIFF may keep its directory at the end of the file, so nearly any cut is one within the header.
  await expect(probeImage(bytes.subarray(0, 20))).rejects.toMatchObject({
    code: form === 'AVIF' ? expect.stringMatching(/MEDIA_CORRUPT|MEDIA_NOT_RECOGNISED/) : 'MEDIA_CORRUPT',
  });
});

test.each([
  ['JPEG', Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), svgFile('width="8" height="8"', '<rect/>')])],
  ['GIF', Buffer.concat([Buffer.from('GIF89a'), svgFile('width="8" height="8"', '<rect/>')])],
  ['WebP', Buffer.concat([Buffer.from('RIFF\0\0\0\0WEBP'), svgFile('width="8" height="8"', '<rect/>')])],
  // No box has 18 bytes, so the decoder of AVIF does not take it.
  ['AVIF', Buffer.concat([Buffer.from('\0\0\0\x12ftypavif\0\0\0\0ab'), svgFile('width="8" height="8"', '<rect/>')])],
])('a file that begins as %s and goes on as SVG is not opened as SVG', async (_, bytes) => {
  await expect(probeImage(bytes)).rejects.toMatchObject({
    code: expect.stringMatching(/MEDIA_CORRUPT|MEDIA_TOO_LARGE|MEDIA_NOT_RECOGNISED/),
  });
});

test('a PNG header of 30000x30000 is refused with the figures', async () => {
  const bomb = withPngSize(await rasterForms.PNG(), 30_000, 30_000);
  await expect(probeImage(bomb)).rejects.toMatchObject({
    code: 'MEDIA_TOO_LARGE',
    message: 'the picture has 30000x30000 = 900000000 pixels; the limit is 64000000',
  });
});

test('a PNG header beyond what libpng opens is refused the same way', async () => {
  const bomb = withPngSize(await rasterForms.PNG(), 0x7fffffff, 0x7fffffff);
  await expect(probeImage(bomb)).rejects.toMatchObject({ code: 'MEDIA_TOO_LARGE' });
});

/** Overwrites the size of a one-frame GIF's screen and frame. (Where they differ, the frame counts, as in browsers.) */
function withGifSize(gif: Buffer, width: number, height: number): Buffer {
  const forged = Buffer.from(gif);
  const packed = forged[10] ?? 0;
  const palette = packed & 0x80 ? 3 << ((packed & 7) + 1) : 0;
  const frame = forged.indexOf(0x2c, 13 + palette);
  for (const at of [6, frame + 5]) {
    forged.writeUInt16LE(width, at);
    forged.writeUInt16LE(height, at + 2);
  }
  return forged;
}

test('a GIF of 65535x65535 is refused', async () => {
  const bomb = withGifSize(await rasterForms.GIF(), 65_535, 65_535);
  await expect(probeImage(bomb)).rejects.toMatchObject({ code: 'MEDIA_TOO_LARGE' });
});

test('a picture longer than one side may be is refused', async () => {
  const line = withPngSize(await rasterForms.PNG(), 70_000, 1);
  await expect(probeImage(line)).rejects.toMatchObject({
    code: 'MEDIA_TOO_LARGE',
    message: expect.stringContaining('65535'),
  });
});

test('limits are the caller’s to set, for pixels, a side and bytes', async () => {
  const png = await rasterForms.PNG();
  await expect(probeImage(png, { maxPixels: 150 * 101 })).resolves.toMatchObject({ width: 150 });
  await expect(probeImage(png, { maxPixels: 150 * 101 - 1 })).rejects.toMatchObject({ code: 'MEDIA_TOO_LARGE' });
  await expect(probeImage(png, { maxSide: 150 })).resolves.toMatchObject({ width: 150 });
  await expect(probeImage(png, { maxSide: 149 })).rejects.toMatchObject({ code: 'MEDIA_TOO_LARGE' });
  await expect(probeImage(png, { maxBytes: png.length })).resolves.toMatchObject({ width: 150 });
  await expect(probeImage(png, { maxBytes: 100 })).rejects.toMatchObject({
    code: 'MEDIA_TOO_LARGE',
    message: `the media item has ${png.length} bytes; the limit is 100`,
  });
});

test.each(rasterFormNames)('a %s of more pixels than the limit is refused, wherever its size stands', async (form) => {
  const refused = probeImage(await rasterForms[form](), { maxPixels: 150 * 101 - 1 });
  await expect(refused).rejects.toMatchObject({
    code: 'MEDIA_TOO_LARGE',
    message: 'the picture has 150x101 = 15150 pixels; the limit is 15149',
  });
});

test('frames of an animation and pages of a document are counted', async () => {
  const frames = await Promise.all(['red', 'lime', 'blue'].map((color) => plane(8, 6, color).png().toBuffer()));
  for (const format of ['gif', 'webp', 'tiff'] as const) {
    const bytes = await native(frames, { join: { animated: true } })
      .toFormat(format)
      .toBuffer();
    expect(await probeImage(bytes)).toMatchObject({ format, width: 8, height: 6, pages: 3 });
  }
});

/** Finds the frame header of a baseline JPEG and overwrites its height and width. */
function withJpegSize(jpeg: Buffer, width: number, height: number): Buffer {
  const forged = Buffer.from(jpeg);
  const frame = forged.indexOf(Buffer.from([0xff, 0xc0]));
  forged.writeUInt16BE(height, frame + 5);
  forged.writeUInt16BE(width, frame + 7);
  return forged;
}

function withTiffWidth(tiff: Buffer, width: number): Buffer {
  const forged = Buffer.from(tiff);
  const directory = forged.readUInt32LE(4);
  for (let i = 0; i < forged.readUInt16LE(directory); i++) {
    const entry = directory + 2 + i * 12;
    if (forged.readUInt16LE(entry) === 256) forged.writeUInt32LE(width, entry + 8);
  }
  return forged;
}

test.each([
  ['PNG 0x0', async () => withPngSize(await rasterForms.PNG(), 0, 0)],
  ['PNG 0x5', async () => withPngSize(await rasterForms.PNG(), 0, 5)],
  ['JPEG 0x0', async () => withJpegSize(await rasterForms['baseline JPEG'](), 0, 0)],
  ['GIF 0x0', async () => withGifSize(await rasterForms.GIF(), 0, 0)],
  [
    'WebP 0x0',
    async () => {
      const webp = Buffer.from(await rasterForms['lossy WebP']());
      return webp.fill(0, 26, 30);
    },
  ],
  ['TIFF of width 0', async () => withTiffWidth(await rasterForms['LZW TIFF'](), 0)],
  [
    'AVIF 0x0',
    async () => {
      const avif = Buffer.from(await rasterForms.AVIF());
      const size = avif.indexOf('ispe') + 8;
      return avif.fill(0, size, size + 8);
    },
  ],
])('%s is MEDIA_EMPTY', async (_, make) => {
  await expect(probeImage(await make())).rejects.toMatchObject({ code: 'MEDIA_EMPTY' });
});
