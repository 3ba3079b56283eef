import { expect, test } from 'vitest';
import { DataType, type TensorPart } from './messages.js';
import type { Float32Tensor } from './tensor.js';
import { encodeTensorParts, maxPartBytes, TensorCollector } from './tensor-message.js';

/** Whole numbers small enough for float16. */
function counting(rows: number, width: number): Float32Tensor {
  const data = Float32Array.from({ length: rows * width }, (_, at) => at % 2048);
  return { dtype: 'float32', shape: [rows, width], data };
}

const part = (data: number, rest: Partial<TensorPart> = {}): TensorPart => ({
  dataType: DataType.UNSPECIFIED,
  shape: [],
  data: new Uint8Array(data),
  last: false,
  ...rest,
});
const first = (data: number, rest: Partial<TensorPart> = {}): TensorPart =>
  part(data, { dataType: DataType.FLOAT32, shape: [2, 3], ...rest });

test.each(['float16', 'float32'] as const)('a tensor over the size of a message comes back whole, as %s', (as) => {
  const tensor = counting(576, 1024);
  const parts = [...encodeTensorParts(tensor, as)];
  expect(parts.length).toBe((576 * 1024 * (as === 'float16' ? 2 : 4)) / maxPartBytes + (as === 'float16' ? 0.75 : 0.5));
  expect(parts.every(({ data }) => data.length <= maxPartBytes)).toBe(true);
  const collector = new TensorCollector(576 * 1024, 'features');
  // Two tensors, one after the other.
  for (let time = 0; time < 2; time++) {
    for (const each of parts.slice(0, -1)) expect(collector.add(each)).toBeUndefined();
    expect(collector.isOpen).toBe(true);
    expect(collector.add(parts.at(-1))).toEqual(tensor);
    expect(collector.isOpen).toBe(false);
  }
});

test('an empty tensor is one part', () => {
  const parts = [...encodeTensorParts(counting(0, 3), 'float32')];
  expect(parts).toMatchObject([{ shape: [0, 3], last: true }]);
  expect(new TensorCollector(6, 'f').add(parts[0])?.shape).toEqual([0, 3]);
});

test.each<[name: string, code: string, parts: (TensorPart | undefined)[]]>([
  ['no part', 'TENSOR_INVALID', [undefined]],
  ['no type', 'TENSOR_INVALID', [first(24, { dataType: DataType.UNSPECIFIED })]],
  ['no shape', 'TENSOR_INVALID', [first(24, { shape: [] })]],
  ['more elements than are taken', 'TENSOR_INVALID', [first(24, { shape: [2, 4] })]],
  [
    'a shape of which the product is beyond any number',
    'TENSOR_INVALID',
    [first(24, { shape: Array(64).fill(2 ** 31) })],
  ],
  ['an end before the shape is filled', 'TENSOR_INVALID', [first(8), part(8, { last: true })]],
  ['more bytes than the shape asks for', 'TENSOR_INVALID', [first(16), part(12)]],
  ['a second shape', 'TENSOR_INVALID', [first(8), first(16)]],
  ['a part over the limit', 'MESSAGE_TOO_LARGE', [first(maxPartBytes + 1)]],
])('%s is refused', (_, code, parts) => {
  const collector = new TensorCollector(6, 'features');
  const add = () => parts.map((each) => collector.add(each));
  expect(add).toThrow(expect.objectContaining({ code }));
});
