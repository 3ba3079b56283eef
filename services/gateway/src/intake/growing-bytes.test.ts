import { expect, test } from 'vitest';
import { GrowingBytes } from './growing-bytes.js';

test('pieces of any size come back as one, in order', () => {
  const all = Uint8Array.from({ length: 30_000 }, (_, index) => index % 251);
  const bytes = new GrowingBytes();
  for (let at = 0, size = 0; at < all.length; at += size, size = (size + 1) % 700) {
    bytes.append(all.subarray(at, at + size));
  }
  expect(bytes.length).toBe(all.length);
  expect(Buffer.compare(bytes.whole(), all)).toBe(0);
});

test('nothing is nothing', () => {
  const bytes = new GrowingBytes();
  bytes.append(new Uint8Array(0));
  expect(bytes.whole()).toEqual(new Uint8Array(0));
});

test('what was appended does not change with the buffer that it came in', () => {
  const piece = Uint8Array.of(1, 2, 3);
  const bytes = new GrowingBytes();
  bytes.append(piece);
  piece.fill(9);
  expect(bytes.whole()).toEqual(Uint8Array.of(1, 2, 3));
});
