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
  const [larger] = step(1000);
  expect(larger?.data.length).toBe(2000);
  for (let n = 0; n < 256; n++) expect(step(10)[0]?.data.buffer).toBe(larger?.data.buffer);
  expect(step(10)[0]?.data.buffer.byteLength).toBe(80);
});

test('what is four times as large as it has to be is not far too large', () => {
  const buffers = new OutputBuffers();
  const step = (length: number) => {
    buffers.begin();
    return buffers.next([length]).data.buffer;
  };
  const first = step(40);
  for (let n = 0; n < 300; n++) expect(step(10)).toBe(first);
});

test('what steps no longer ask for is given back', () => {
  const buffers = new OutputBuffers();
  const step = (count: number) => {
    buffers.begin();
    return Array.from({ length: count }, () => buffers.next([10, 2]).data.buffer);
  };
  const [first, second] = step(2);
  for (let n = 0; n < 250; n++) step(1);
  expect(step(2)).toEqual([first, second]);
  for (let n = 0; n < 300; n++) expect(step(1)[0]).toBe(first);
  const [still, fresh] = step(2);
  expect(still).toBe(first);
  expect(fresh).not.toBe(second);
});

test('the same place and shape give the same object, of each type, and another shape another one', () => {
  const buffers = new OutputBuffers();
  const step = (rows: number) => {
    buffers.begin();
    return [buffers.next([rows, 3]), buffers.nextInt32([rows, 2]), buffers.nextFloat16([rows, 5])] as const;
  };
  const [floats, integers, halves] = step(2);
  integers.data.set([1, 2, 3, 4]);
  halves.data.set([6, 7, 8, 9, 10]);
  expect(step(2)[0]).toBe(floats);
  expect(step(2)[1]).toBe(integers);
  expect(step(2)[2]).toBe(halves);
  expect(step(1)[2]).toEqual({ dtype: 'float16', shape: [1, 5], data: Uint16Array.of(6, 7, 8, 9, 10) });
  expect(step(1)[1]).toEqual({ dtype: 'int32', shape: [1, 2], data: Int32Array.of(1, 2) });
  expect(step(2)[0]).not.toBe(floats);
});
