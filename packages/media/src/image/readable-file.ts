import type { ImageFormat } from '../media-info.js';
import { withEarlyOrientation } from './png-orientation.js';
import { startsWith } from './starts-with.js';
import { withExtraSamples } from './tiff-extra-samples.js';

/** An AVIF may name its brand behind others; libvips asks the first alone whether it takes the file. */
function withFirstBrand(avif: Uint8Array): Uint8Array {
  if (startsWith(avif, 8, 'avif')) return avif;
  const branded = Buffer.from(avif);
  branded.write('avif', 8, 'latin1');
  return branded;
}

/** The same file with everything where libvips looks for it; the very same bytes where it is there. */
export function readableFile(bytes: Uint8Array, format: ImageFormat): Uint8Array {
  if (format === 'png') return withEarlyOrientation(bytes);
  if (format === 'avif') return withFirstBrand(bytes);
  return format === 'tiff' ? withExtraSamples(bytes) : bytes;
}
