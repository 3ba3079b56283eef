import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dequantizers } from './dequantize.js';
import { GgufFile, type StoredTensor } from './gguf-file.js';

let file: GgufFile;

beforeAll(async () => {
  file = await GgufFile.open(fileURLToPath(new URL('../../fixtures/gguf/types.gguf', import.meta.url)));
});

afterAll(() => file.close());

async function values(name: string, first = 0, count?: number): Promise<Float32Array> {
  const tensor = file.tensors.get(name) as StoredTensor;
  const rows = count ?? tensor.rows - first;
  const target = new Float32Array(rows * (tensor.shape.at(-1) as number));
  dequantizers[tensor.type.name]?.(await file.readRows(tensor, first, rows), target);
  return target;
}

test.each(Object.keys(dequantizers))('%s has the values that ggml gives it, bit for bit', async (name) => {
  const expected = await values(`${name}.values`);
  expect(await values(name)).toEqual(expected);
  expect(await values(name, 1, 2)).toEqual(expected.subarray(512, 3 * 512));
  expect(new Set(expected).size).toBeGreaterThan(200);
});

test('every type of value is read', () => {
  expect(Object.fromEntries(file.metadata)).toMatchObject({
    'general.architecture': 'none',
    'a.uint8': 255,
    'a.int8': -128,
    'a.uint16': 65535,
    'a.int16': -32768,
    'a.uint32': 4294967295,
    'a.int32': -2147483648,
    'a.float32': 0.5,
    'a.uint64': 2n ** 64n - 1n,
    'a.int64': -(2 ** 53) + 1,
    'a.float64': 1e300,
    'a.bool': true,
    'a.string': 'Grüße, 世界 🙂',
    'an.array.of.strings': ['a', '', 'ü'],
    'an.array.of.ints': Int32Array.of(1, -2, 3),
    'an.array.of.floats': Float32Array.of(0.5, -0.25),
    'an.array.of.bools': Uint8Array.of(1, 0),
    'an.array.of.arrays': [Int32Array.of(1, 2), Int32Array.of(3)],
  });
});
