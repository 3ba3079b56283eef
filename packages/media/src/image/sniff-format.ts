import type { ImageFormat } from '../media-info.js';
import { startsWith } from './starts-with.js';
import { svgHead, svgRootTag } from './svg-root-tag.js';

/** The brands of an ISO media file lie in its first box: the major one, four bytes of version, the compatible ones. */
function hasAvifBrand(bytes: Uint8Array): boolean {
  if (bytes.length < 16 || !startsWith(bytes, 4, 'ftyp')) return false;
  const boxSize = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  const end = Math.min(boxSize, bytes.length, 256);
  for (let offset = 8; offset + 4 <= end; offset += 4) {
    if (offset !== 12 && (startsWith(bytes, offset, 'avif') || startsWith(bytes, offset, 'avis'))) return true;
  }
  return false;
}

/** Tells the format from the first bytes; undefined for everything that is no picture we take. */
export function sniffFormat(bytes: Uint8Array): ImageFormat | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return 'jpeg';
  if (startsWith(bytes, 0, '\x89PNG\r\n\x1a\n')) return 'png';
  if (startsWith(bytes, 0, 'GIF87a') || startsWith(bytes, 0, 'GIF89a')) return 'gif';
  if (startsWith(bytes, 0, 'RIFF') && startsWith(bytes, 8, 'WEBP')) return 'webp';
  // Classic TIFF and BigTIFF, little- and big-endian.
  if (['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].some((magic) => startsWith(bytes, 0, magic))) return 'tiff';
  if (hasAvifBrand(bytes)) return 'avif';
  if (svgRootTag(svgHead(bytes)) !== undefined) return 'svg';
  return undefined;
}
