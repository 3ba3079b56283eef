import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Blocks } from '../checkpoint/parameters.js';
import { GgufFile, type StoredTensor } from './gguf-file.js';
import { type PlacedTensor, readRows, storedBlocks } from './gguf-tensors.js';

let file: GgufFile;

beforeAll(async () => {
  file = await GgufFile.open(fileURLToPath(new URL('../../fixtures/gguf/types.gguf', import.meta.url)));
});

afterAll(() => file.close());

const columns = 512;

function placed(name: string, more: Partial<PlacedTensor> = {}): PlacedTensor {
  const stored = file.tensors.get(name) as StoredTensor;
  return { file, name, stored, shape: stored.shape, firstRow: 0, rows: stored.rows, ...more };
}

async function rows(tensor: PlacedTensor, first: number, count: number): Promise<Float32Array> {
  const values = new Float32Array(count * columns);
  await readRows(tensor, first, values);
  return values;
}

/** What MatMulNBits makes of blocks without zero points. */
function unpacked({ values, scales }: Blocks, bits: number, blockSize: number): Float32Array {
  const middle = 1 << (bits - 1);
  return Float32Array.from({ length: scales.length * blockSize }, (_, i) => {
    const byte = values[bits === 4 ? i >> 1 : i] as number;
    const value = bits === 4 ? (byte >> (4 * (i & 1))) & 15 : byte;
    return (value - middle) * (scales[Math.floor(i / blockSize)] as number);
  });
}

test.each([
  ['Q4_0', 4, 32],
  ['Q5_0', 8, 32],
  ['Q8_0', 8, 32],
  ['Q6_K', 8, 16],
])('blocks of %s are taken over value for value: %i bits in blocks of %i', async (name, bits, blockSize) => {
  const stored = storedBlocks(placed(name));
  expect(stored).toMatchObject({ bits, blockSize, zeroPoints: 'none' });
  const blocks = await stored?.readRows(1, 2);
  expect(unpacked(blocks as Blocks, bits, blockSize)).toEqual(await rows(placed(name), 1, 2));
});

test.each(['F32', 'F16', 'BF16', 'Q4_1', 'Q5_1', 'Q4_K', 'Q5_K'])('%s has no blocks that can be taken over', (name) => {
  expect(storedBlocks(placed(name))).toBeUndefined();
});

test.each(['F32', 'Q4_0', 'Q6_K'])(
  'heads of %s that were turned are turned back, from whichever row they are read',
  async (name) => {
    const whole = await rows(placed(name), 0, 4);
    const row = (index: number): Float32Array => whole.subarray(index * columns, (index + 1) * columns);
    // A head of four rows: pairs 0 and 1, each with its two sides beside each other.
    const order = [0, 2, 1, 3];
    const turned = placed(name, { turnedHead: 4 });
    for (const [first, count] of [
      [0, 4],
      [1, 2],
      [3, 1],
    ] as const) {
      const expected = order.slice(first, first + count).flatMap((index) => [...row(index)]);
      expect([...(await rows(turned, first, count))]).toEqual(expected);
      const stored = storedBlocks(turned);
      const blocks = await stored?.readRows(first, count);
      if (stored && blocks) expect([...unpacked(blocks, stored.bits, stored.blockSize)]).toEqual(expected);
    }
  },
);

test.each(['F32', 'Q4_0', 'Q6_K'])(
  'rows of %s are turned back within their head, and counted from the first',
  async (name) => {
    // The same bytes, as rows of half the width: two heads of four.
    const { rowBytes, ...whole } = file.tensors.get(name) as StoredTensor;
    const [width, count] = [columns / 2, 8];
    const stored = { ...whole, shape: [count, width], rows: count, rowBytes: rowBytes / 2 };
    const plain = placed(name, { stored, shape: [count, width], rows: count });
    const read = async (tensor: PlacedTensor, first: number, rows: number): Promise<number[]> => {
      const values = new Float32Array(rows * width);
      await readRows(tensor, first, values);
      return [...values];
    };
    const each = await Promise.all(Array.from({ length: count }, (_, row) => read(plain, row, 1)));
    const order = [0, 2, 1, 3, 4, 6, 5, 7];
    for (const [first, rows] of [
      [0, 8],
      [5, 2],
      [3, 3],
    ] as const) {
      const expected = order.slice(first, first + rows).flatMap((row) => each[row] as number[]);
      expect(await read({ ...plain, turnedHead: 4 }, first, rows)).toEqual(expected);
    }
    const second = { ...plain, firstRow: 4, rows: 4, shape: [4, width], turnedHead: 4 };
    expect(await read(second, 1, 2)).toEqual([...(each[6] as number[]), ...(each[5] as number[])]);
  },
);

test('one of several tensors that lie in one begins at its first row', async () => {
  const second = placed('Q8_0', { firstRow: 2, rows: 2, shape: [2, columns] });
  expect(await rows(second, 1, 1)).toEqual(await rows(placed('Q8_0'), 3, 1));
});

test.each(['F32', 'Q8_0'])(
  'a vector of %s is one stored row: its values are read from any of them, and turned one by one',
  async (name) => {
    const all = await rows(placed(name), 0, 1);
    const stored = { ...(file.tensors.get(name) as StoredTensor), shape: [columns], rows: 1 };
    const vector = (more: Partial<PlacedTensor> = {}): PlacedTensor =>
      placed(name, { stored, shape: [columns], rows: 1, ...more });
    const read = async (tensor: PlacedTensor, first: number, count: number): Promise<number[]> => {
      const values = new Float32Array(count);
      await readRows(tensor, first, values);
      return [...values];
    };
    // Heads of four values: pairs 0 and 1, each with its two sides beside each other.
    const turned = Array.from(
      { length: columns },
      (_, i) => all[i - (i % 4) + ([0, 2, 1, 3][i % 4] as number)] as number,
    );
    for (const [first, count] of [
      [0, columns],
      [101, 6],
      [columns - 1, 1],
    ] as const) {
      expect(await read(vector(), first, count)).toEqual([...all.subarray(first, first + count)]);
      expect(await read(vector({ turnedHead: 4 }), first, count)).toEqual(turned.slice(first, first + count));
    }
  },
);
