import { expect, test } from 'vitest';
import { unlessCut } from './unless-cut.js';

test('what lies within the bytes is read; beyond them there is nothing', () => {
  const view = new DataView(Uint8Array.from([1, 2]).buffer);
  expect(unlessCut(() => view.getUint16(0))).toBe(0x102);
  expect(unlessCut(() => view.getUint16(1))).toBeUndefined();
});

test('a mistake in reading is not taken for an end of the bytes', () => {
  const mistake = new TypeError('no such function');
  const read = () => {
    throw mistake;
  };
  expect(() => unlessCut(read)).toThrow(mistake);
});
