import type { ImageFormat } from '../media-info.js';
import { gifScreen } from './gif-screen.js';
import { jpegFrame } from './jpeg-frame.js';
import { tiffHeader } from './tiff-header.js';
import { unlessCut } from './unless-cut.js';

interface Size {
  readonly width: number;
  readonly height: number;
}

/** How far an AVIF's property boxes are looked for. */
const avifHeaderBytes = 64 * 1024;

/** A canvas of 0, which some writers leave, is made by its frames. */
function gifSize(bytes: Uint8Array): Size | undefined {
  const screen = gifScreen(bytes);
  if (screen === undefined) return undefined;
  const { width, height, firstFrame } = screen;
  return {
    width: width || firstFrame.left + firstFrame.width,
    height: height || firstFrame.top + firstFrame.height,
  };
}

/** Of the first directory's fields. */
function tiffSize(bytes: Uint8Array): Size | undefined {
  const { width, height } = tiffHeader(bytes);
  return width === undefined || height === undefined ? undefined : { width, height };
}

function avifSize(bytes: Uint8Array, view: DataView): Size | undefined {
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, avifHeaderBytes)).indexOf('ispe');
  return at === -1 ? undefined : { width: view.getUint32(at + 8), height: view.getUint32(at + 12) };
}

function readSize(bytes: Uint8Array, view: DataView, format: ImageFormat): Size | undefined {
  switch (format) {
    case 'jpeg':
      return jpegFrame(bytes);
    case 'png':
      return { width: view.getUint32(16), height: view.getUint32(20) };
    case 'gif':
      return gifSize(bytes);
    case 'webp':
      // Only the lossy form can say 0: the others store the side less one.
      return bytes[15] === 0x20
        ? { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff }
        : undefined;
    case 'tiff':
      return tiffSize(bytes);
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
  return unlessCut(() => readSize(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), format));
}
