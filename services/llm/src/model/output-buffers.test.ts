import { expect, test } from 'vitest';
import { OutputBuffers } from './output-buffers.js';

test('the same memory is used at each step, grows, and is given back when it is far too large for long', () => {
  const buffers = new OutputBuffers();
  const step = (...lengths: number[]) => {
    buffers.begin();
    return lengths.map((length) => buffers.next([length, 2]));
  };
  const [first, second] = step(10, 10);
  expect(first?.data.length).toBe(20);
  expect(first?.data.buffer).not.toBe(second?.data.buffer);
  const [again] = step(8);
  expect(again).toMatchObject({ shape: [8, 2] });
  expect(again?.data.buffer).toBe(first?.data.buffer);
  expect(() => buffers.at(1)).toThrow('number 1');
  const [larger] = step(1000);
  expect(larger?.data.length).toBe(2000);
  for (let n = 0; n < 256; n++) expect(step(10)[0]?.data.buffer).toBe(larger?.data.buffer);
  expect(step(10)[0]?.data.buffer.byteLength).toBe(80);
});
