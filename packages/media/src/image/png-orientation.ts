import { inflateSync } from 'node:zlib';
import { crc32 } from './crc32.js';
import { startsWith } from './starts-with.js';
import { tiffHeader } from './tiff-header.js';
import { unlessCut } from './unless-cut.js';

const signatureBytes = 8;
/** EXIF data fit a segment of JPEG; as hexadecimal text they take twice that, and line breaks. */
const maxExifBytes = 64 * 1024;
const maxProfileBytes = 3 * maxExifBytes;
const exifKeywords = ['Raw profile type exif\0', 'Raw profile type APP1\0'];
/** A file of empty chunks must not keep us; pixels come in chunks of 8 KB and more. */
const maxChunks = 65_536;

interface Chunk {
  readonly name: string;
  readonly data: Uint8Array;
}

function* chunksOf(png: Uint8Array): Generator<Chunk> {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  let at = signatureBytes;
  for (let count = 0; count < maxChunks && at + 12 <= png.length; count++) {
    const length = view.getUint32(at);
    if (at + 12 + length > png.length) return;
    const name = String.fromCharCode(...png.subarray(at + 4, at + 8));
    yield { name, data: png.subarray(at + 8, at + 8 + length) };
    at += 12 + length;
  }
}

/** ImageMagick's way, from before PNG had a chunk for EXIF: hexadecimal digits in a text chunk, mostly a packed one. */
function isExifText({ name, data }: Chunk): boolean {
  return (name === 'zTXt' || name === 'tEXt') && exifKeywords.some((keyword) => startsWith(data, 0, keyword));
}

/** Empty when the text is damaged. */
function exifOfText({ name, data }: Chunk): Uint8Array {
  let body = data.subarray(data.indexOf(0) + 1);
  try {
    // The first byte says how it is packed; there is one way only.
    if (name === 'zTXt') body = inflateSync(body.subarray(1), { maxOutputLength: maxProfileBytes });
  } catch {
    return new Uint8Array();
  }
  const text = Buffer.from(body.subarray(0, maxProfileBytes)).toString('latin1');
  // What it is, the count of its bytes, its digits.
  const digits = /^\s*\S+\s+\d+\s+([\da-f\s]+)$/i.exec(text)?.[1] ?? '';
  return Buffer.from(digits.replace(/\s/g, ''), 'hex');
}

/** How an EXIF block, which is a TIFF without pixels, says that the picture is turned; undefined when it is not. */
function turnOf(exif: Uint8Array): number | undefined {
  const prefix = Buffer.from('Exif\0\0', 'latin1');
  const tiff = prefix.equals(exif.subarray(0, prefix.length)) ? exif.subarray(prefix.length) : exif;
  const orientation = unlessCut(() => tiffHeader(tiff).orientation) ?? 1;
  return orientation > 1 && orientation <= 8 ? orientation : undefined;
}

/** An eXIf chunk that says an orientation and nothing else. */
function exifChunk(orientation: number): Buffer {
  const chunk = Buffer.alloc(12 + 26);
  chunk.writeUInt32BE(26, 0);
  chunk.write('eXIfMM\0*', 4, 'latin1');
  chunk.writeUInt32BE(8, 12);
  chunk.writeUInt16BE(1, 16);
  chunk.writeUInt16BE(274, 18);
  chunk.writeUInt16BE(3, 20);
  chunk.writeUInt32BE(1, 22);
  chunk.writeUInt16BE(orientation, 26);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 34)), 34);
  return chunk;
}

/**
 * The same PNG with its orientation where libvips looks for it, in an eXIf chunk before the pixels. The chunk may also
 * stand behind them, and older writers put EXIF into text. The very same bytes where there is nothing to move.
 */
export function withEarlyOrientation(png: Uint8Array): Uint8Array {
  let late: Uint8Array | undefined;
  let text: Uint8Array | undefined;
  let pixelsSeen = false;
  for (const chunk of chunksOf(png)) {
    if (chunk.name === 'IDAT') pixelsSeen = true;
    if (chunk.name === 'eXIf') {
      // In its place, libvips reads it.
      if (!pixelsSeen) return png;
      late ??= chunk.data;
    }
    if (text === undefined && isExifText(chunk)) text = exifOfText(chunk);
  }
  const exif = late ?? text;
  const orientation = exif === undefined ? undefined : turnOf(exif);
  if (orientation === undefined) return png;
  const headerEnd = signatureBytes + 12 + 13;
  return Buffer.concat([png.subarray(0, headerEnd), exifChunk(orientation), png.subarray(headerEnd)]);
}
