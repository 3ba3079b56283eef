import { expect, test } from 'vitest';
import { samplePicture } from '../demo-model/files.js';
import { pngChunk, withPngSize } from './png.js';

test('the checksums are those that PNG asks for', () => {
  // Every PNG ends with this chunk.
  expect(pngChunk('IEND', Buffer.of())).toEqual(Buffer.from('0000000049454e44ae426082', 'hex'));
  const png = samplePicture('apple');
  expect(withPngSize(png, png.readUInt32BE(16), png.readUInt32BE(20))).toEqual(png);
});

test('a PNG is given another size, and nothing else but the checksum of its header changes', () => {
  const png = samplePicture('apple');
  const forged = withPngSize(png, 8000, 7);
  expect([forged.readUInt32BE(16), forged.readUInt32BE(20)]).toEqual([8000, 7]);
  expect(forged.readUInt32BE(29)).not.toBe(png.readUInt32BE(29));
  expect(forged.subarray(33)).toEqual(png.subarray(33));
});
