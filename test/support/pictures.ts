import sharp from 'sharp';

/** Pictures made when a test runs. */

function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ -1) >>> 0;
}

/** A small PNG whose header says another size; the header's checksum is right. */
export async function pngThatClaims(width: number, height: number): Promise<Buffer> {
  const png = await plainPng(16, 16);
  png.writeUInt32BE(width, 16);
  png.writeUInt32BE(height, 20);
  png.writeUInt32BE(crc32(png.subarray(12, 29)), 29);
  return png;
}

/** One colour: as many pixels as wanted in few bytes. */
export function plainPng(width: number, height: number, background = '#3366cc'): Promise<Buffer> {
  return sharp({ create: { width, height, channels: 3, background } })
    .png()
    .toBuffer();
}

/** Noise from a fixed seed, which no codec makes small. */
export function noisyPng(width: number, height: number, seed = 1): Promise<Buffer> {
  let state = seed;
  const pixels = Uint8Array.from({ length: width * height * 3 }, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state >> 16;
  });
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
