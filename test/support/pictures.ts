import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import { withPngSize } from '@tessera/testing/pictures/png';
import sharp from 'sharp';

/** Pictures made when a test runs. */

/** A small PNG whose header says another size; the header's checksum is right. */
export async function pngThatClaims(width: number, height: number): Promise<Buffer> {
  return withPngSize(await plainPng(16, 16), width, height);
}

/** One colour: as many pixels as wanted in few bytes. */
export function plainPng(width: number, height: number, background = '#3366cc'): Promise<Buffer> {
  return sharp({ create: { width, height, channels: 3, background } })
    .png()
    .toBuffer();
}

/** Noise from a fixed seed, which no codec makes small. */
export function noisyPng(width: number, height: number, seed = 1): Promise<Buffer> {
  const random = seededRandom(seed);
  const pixels = Uint8Array.from({ length: width * height * 3 }, () => 256 * random());
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 0 })
    .toBuffer();
}

/** The greatest difference of any channel of any pixel, 0 to 255; they must be of one size. */
export async function greatestDifference(one: Uint8Array, other: Uint8Array): Promise<number> {
  const [a, b] = await Promise.all(
    [one, other].map((bytes) => sharp(bytes).raw().toBuffer({ resolveWithObject: true })),
  );
  if (a === undefined || b === undefined || a.data.length !== b.data.length || a.info.width !== b.info.width) {
    throw new Error('the pictures are not of one size');
  }
  return a.data.reduce((worst, value, at) => Math.max(worst, Math.abs(value - (b.data[at] as number))), 0);
}
