import { expect, test } from 'vitest';
import { type Float32Tensor, tensor } from './tensor.js';
import { joinRows, splitRows } from './tensor-rows.js';

/** [rows, width] whose values name their place. */
function rowsOf(rows: number, width: number): Float32Tensor {
  return tensor(
    'float32',
    [rows, width],
    Float32Array.from({ length: rows * width }, (_, index) => index),
  );
}

test('rows are cut at part limits and joined again', () => {
  const whole = rowsOf(10, 8);
  const parts = splitRows(whole, 64);
  expect(parts.map(({ shape }) => shape)).toEqual([
    [4, 8],
    [4, 8],
    [2, 8],
  ]);
  expect(joinRows(parts)).toEqual(whole);
  expect(splitRows(rowsOf(0, 8), 64)).toHaveLength(1);
  expect(splitRows(rowsOf(4, 8), 64)).toHaveLength(1);
});

test('a row larger than a part is refused with the limit', () => {
  expect(() => splitRows(rowsOf(2, 33), 64)).toThrow(
    expect.objectContaining({ code: 'MESSAGE_TOO_LARGE', message: expect.stringContaining('64 bytes') }),
  );
});
