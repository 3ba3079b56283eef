import type { ImageFormat } from '../media-info.js';

interface Size {
  readonly width: number;
  readonly height: number;
}

/** How far an AVIF's property boxes are looked for. */
const avifHeaderBytes = 64 * 1024;

/** Walks the marker segments to the frame header (SOF0 to SOF15 without DHT, JPG and DAC). */
function jpegSize(bytes: Uint8Array, view: DataView): Size | undefined {
  let at = 2;
  while (at + 9 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1] as number;
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    }
    at += 2 + Math.max(2, view.getUint16(at + 2));
  }
  return undefined;
}

/** Tags 256 and 257 of the first directory of a classic TIFF. */
function tiffSize(bytes: Uint8Array, view: DataView): Size | undefined {
  const little = bytes[0] === 0x49;
  if (view.getUint16(2, little) !== 42) return undefined;
  const directory = view.getUint32(4, little);
  const sides = new Map<number, number>();
  for (let i = 0; i < view.getUint16(directory, little); i++) {
    const entry = directory + 2 + i * 12;
    const isShort = view.getUint16(entry + 2, little) === 3;
    const value = isShort ? view.getUint16(entry + 8, little) : view.getUint32(entry + 8, little);
    sides.set(view.getUint16(entry, little), value);
  }
  const width = sides.get(256);
  const height = sides.get(257);
  return width === undefined || height === undefined ? undefined : { width, height };
}

function avifSize(bytes: Uint8Array, view: DataView): Size | undefined {
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, avifHeaderBytes)).indexOf('ispe');
  return at === -1 ? undefined : { width: view.getUint32(at + 8), height: view.getUint32(at + 12) };
}

function readSize(bytes: Uint8Array, view: DataView, format: ImageFormat): Size | undefined {
  switch (format) {
    case 'jpeg':
      return jpegSize(bytes, view);
    case 'png':
      return { width: view.getUint32(16), height: view.getUint32(20) };
    case 'gif':
      return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
    case 'webp':
      // Only the lossy form can say 0: the others store the side less one.
      return bytes[15] === 0x20
        ? { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff }
        : undefined;
    case 'tiff':
      return tiffSize(bytes, view);
    case 'avif':
      return avifSize(bytes, view);
    case 'svg':
      return undefined;
  }
}

/**
 * The size in the first header fields, before orientation; undefined when the header is cut or says nothing there.
 * It is looked at before libvips is: some decoders make one pixel of none, or fail on absurd sizes with words that do
 * not tell them from damage.
 */
export function declaredSize(bytes: Uint8Array, format: ImageFormat): Size | undefined {
  try {
    return readSize(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), format);
  } catch (reason) {
    if (reason instanceof RangeError) return undefined;
    throw reason;
  }
}
