import { expect, test } from 'vitest';
import { sniffFormat } from './sniff-format.js';

/** A file's first box, of brands: the major one, a version, the compatible ones; and what stands behind it. */
function isoFile(brands: readonly string[], behind = '', boxBytes = 8 + 4 * brands.length): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(boxBytes);
  return Buffer.concat([size, Buffer.from(`ftyp${brands.join('')}${behind}`, 'latin1')]);
}

const others = (count: number) => Array<string>(count).fill('mif1');

test.each([
  ['as the major brand', isoFile(['avif', '\0\0\0\0'])],
  ['of a sequence', isoFile(['avis', '\0\0\0\0'])],
  ['as a compatible brand', isoFile(['mif1', '\0\0\0\0', 'miaf', 'avif'])],
  ['where the file ends', isoFile(['mif1', '\0\0\0\0', 'avif'], '', 4096)],
  ['as the last of 64 words', isoFile(['mif1', '\0\0\0\0', ...others(59), 'avif'])],
])('a file that names AVIF %s is AVIF', (_, bytes) => {
  expect(sniffFormat(bytes)).toBe('avif');
});

test.each([
  ['in no brand', isoFile(['mif1', '\0\0\0\0', 'heic'])],
  ['in its version', isoFile(['mif1', 'avif', 'heic'])],
  ['behind its first box', isoFile(['mif1', '\0\0\0\0'], 'avif')],
  ['in a brand that its first box cuts', isoFile(['mif1', '\0\0\0\0', 'avif'], '', 19)],
  ['in a brand that is cut', isoFile(['mif1', '\0\0\0\0', 'avif']).subarray(0, 19)],
  ['across two brands', isoFile(['mif1', '\0\0\0\0', 'miav', 'ifhe'])],
  ['beyond 64 words', isoFile(['mif1', '\0\0\0\0', ...others(60), 'avif'])],
  ['and nothing else', isoFile(['avif']).subarray(0, 12)],
  ['in another box', Buffer.from('\0\0\0\x10freeavif\0\0\0\0', 'latin1')],
])('a file that names AVIF %s is not', (_, bytes) => {
  expect(sniffFormat(bytes)).toBeUndefined();
});
