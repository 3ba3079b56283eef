import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { native } from '../image/native.js';
import type { ImageFormat } from '../media-info.js';

/** Pictures made when a test runs; nothing here is used outside tests. */

const testWidth = 150;
const testHeight = 101;

/** Noise over gradients, so that every codec has work to do up to the last row. */
export function noisyPixels(width = testWidth, height = testHeight): Uint8Array {
  const random = seededRandom(7);
  return Uint8Array.from({ length: width * height * 3 }, (_, i) => (i % (width * 3)) + 64 * random());
}

function noisy() {
  return native(noisyPixels(), { raw: { width: testWidth, height: testHeight, channels: 3 } });
}

/** An uncompressed TIFF of 16-bit RGB, which sharp does not write. Little-endian, one strip, its directory in front. */
export function wideTiff(width: number, height: number, values: Uint16Array): Buffer {
  const short = 3;
  const long = 4;
  const pixelsAt = 160;
  const bitsAt = 144;
  const entries = [
    [256, long, 1, width],
    [257, long, 1, height],
    [258, short, 3, bitsAt], // BitsPerSample
    [259, short, 1, 1], // Compression: none
    [262, short, 1, 2], // Photometric: RGB
    [273, long, 1, pixelsAt], // StripOffsets
    [277, short, 1, 3], // SamplesPerPixel
    [278, long, 1, height], // RowsPerStrip
    [279, long, 1, values.byteLength], // StripByteCounts
  ] as const;
  const header = Buffer.alloc(pixelsAt);
  header.write('II*\0');
  header.writeUInt32LE(8, 4);
  header.writeUInt16LE(entries.length, 8);
  entries.forEach(([tag, type, count, value], i) => {
    header.writeUInt16LE(tag, 10 + i * 12);
    header.writeUInt16LE(type, 12 + i * 12);
    header.writeUInt32LE(count, 14 + i * 12);
    header.writeUInt32LE(value, 18 + i * 12);
  });
  for (let i = 0; i < 3; i++) header.writeUInt16LE(16, bitsAt + i * 2);
  return Buffer.concat([header, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)]);
}

/** One picture in every raster format and notable form; each is noise of testWidth x testHeight. */
export const rasterForms = {
  'baseline JPEG': () => noisy().jpeg({ mozjpeg: false }).toBuffer(),
  'progressive JPEG': () => noisy().jpeg({ progressive: true }).toBuffer(),
  'grey JPEG': () => noisy().greyscale().jpeg().toBuffer(),
  'CMYK JPEG': () => noisy().toColourspace('cmyk').jpeg().toBuffer(),
  PNG: () => noisy().png().toBuffer(),
  'interlaced PNG': () => noisy().png({ progressive: true }).toBuffer(),
  'palette PNG': () => noisy().png({ palette: true }).toBuffer(),
  '16-bit PNG': () => noisy().toColourspace('rgb16').png().toBuffer(),
  'lossy WebP': () => noisy().webp().toBuffer(),
  'lossless WebP': () => noisy().webp({ lossless: true }).toBuffer(),
  GIF: () => noisy().gif().toBuffer(),
  AVIF: () => noisy().avif({ effort: 0 }).toBuffer(),
  'uncompressed TIFF': () => noisy().tiff({ compression: 'none' }).toBuffer(),
  'LZW TIFF': () => noisy().tiff({ compression: 'lzw' }).toBuffer(),
  'packbits TIFF': () => noisy().tiff({ compression: 'packbits' }).toBuffer(),
  'deflate TIFF': () => noisy().tiff({ compression: 'deflate' }).toBuffer(),
  'tiled LZW TIFF': () => noisy().tiff({ compression: 'lzw', tile: true, tileWidth: 32, tileHeight: 32 }).toBuffer(),
  'tiled JPEG in TIFF': () =>
    noisy().tiff({ compression: 'jpeg', tile: true, tileWidth: 32, tileHeight: 32 }).toBuffer(),
  'tiled deflate TIFF': () => noisy().tiff({ compression: 'deflate', tile: true }).toBuffer(),
  'JPEG in TIFF': () => noisy().tiff({ compression: 'jpeg' }).toBuffer(),
  'CMYK TIFF': () => noisy().toColourspace('cmyk').tiff({ compression: 'lzw' }).toBuffer(),
  '16-bit TIFF': async () =>
    wideTiff(
      testWidth,
      testHeight,
      Uint16Array.from(noisyPixels(), (value) => value * 257),
    ),
} as const satisfies Record<string, () => Promise<Buffer>>;

export type RasterForm = keyof typeof rasterForms;
export const rasterFormNames = Object.keys(rasterForms) as RasterForm[];

/** What a file of that form is told to be. */
export function formatOf(form: RasterForm): ImageFormat {
  return (/JPEG in/.test(form) ? 'tiff' : (form.split(' ').at(-1) ?? '').toLowerCase()) as ImageFormat;
}

/** A plane of one colour, as raw input for sharp. */
export function plane(width: number, height: number, color: string) {
  return native({ create: { width, height, channels: 4, background: color } });
}

export function svgFile(attributes: string, body: string, prologue = ''): Buffer {
  return Buffer.from(`${prologue}<svg xmlns="http://www.w3.org/2000/svg" ${attributes}>${body}</svg>`);
}

/** EXIF data that say an orientation and nothing else, in little-endian order. */
export function exifOf(orientation: number): Buffer {
  const exif = Buffer.alloc(26);
  exif.write('II*\0', 0, 'latin1');
  exif.writeUInt32LE(8, 4);
  exif.writeUInt16LE(1, 8);
  exif.writeUInt16LE(274, 10);
  exif.writeUInt16LE(3, 12);
  exif.writeUInt32LE(1, 14);
  exif.writeUInt16LE(orientation, 18);
  return exif;
}

/** A GIF of one frame on another canvas than its own, which lies at this place of it. */
export function withGifCanvas(
  gif: Buffer,
  canvas: { width: number; height: number },
  place: { left: number; top: number } = { left: 0, top: 0 },
): Buffer {
  const forged = Buffer.from(gif);
  const packed = forged[10] ?? 0;
  const palette = packed & 0x80 ? 3 << ((packed & 7) + 1) : 0;
  const frame = forged.indexOf(0x2c, 13 + palette);
  forged.writeUInt16LE(canvas.width, 6);
  forged.writeUInt16LE(canvas.height, 8);
  forged.writeUInt16LE(place.left, frame + 1);
  forged.writeUInt16LE(place.top, frame + 3);
  return forged;
}

/** The R, G, B of one pixel. */
export function pixelAt(raster: { width: number; data: Uint8Array }, x: number, y: number): number[] {
  const at = (y * raster.width + x) * 3;
  return [...raster.data.subarray(at, at + 3)];
}

/** The greatest difference of a channel between two colours. */
export function distance(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? Number.POSITIVE_INFINITY))));
}
