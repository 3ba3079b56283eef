import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type GgufContent, type GgufTensor, ggufBytes, writeGguf } from '../testing/write-gguf.js';
import { GgufFile, type StoredTensor } from './gguf-file.js';

let dir = '';
let path = '';

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tessera-gguf-'));
  path = join(dir, 'model.gguf');
});

afterEach(() => rm(dir, { recursive: true, force: true }));

const floats = (name: string, ...shape: number[]): GgufTensor => ({
  name,
  type: 0,
  shape,
  data: new Uint8Array(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i).buffer),
});
const content = (tensors: GgufTensor[], metadata: GgufContent['metadata'] = {}): GgufContent => ({ metadata, tensors });

/** A file whose bytes at a place are others. */
function changed(at: number, bytes: Buffer): Buffer {
  const file = ggufBytes(content([floats('a', 2, 3), floats('b', 4)], { key: 'value' }));
  bytes.copy(file, at);
  return file;
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
};
// Where things stand in that file: magic 0, version 4, counts 8 and 16, key 24, type 35, value 39, table 52.
const [version, tensorCount, valueCount, keyLength, valueType, valueLength, table] = [4, 8, 16, 24, 35, 39, 52];

test('tensors lie where the table says, and rows are read from anywhere', async () => {
  await writeGguf(path, content([floats('a', 2, 3), floats('odd', 5), floats('b', 3, 2, 2)]));
  const file = await GgufFile.open(path);
  expect([...file.tensors.values()].map(({ name, shape, rows }) => [name, shape, rows])).toEqual([
    ['a', [2, 3], 2],
    ['odd', [5], 1],
    ['b', [3, 2, 2], 6],
  ]);
  const read = async (name: string, first: number, count: number): Promise<number[]> => [
    ...new Float32Array((await file.readRows(file.tensors.get(name) as StoredTensor, first, count)).buffer),
  ];
  expect(await read('a', 1, 1)).toEqual([3, 4, 5]);
  expect(await read('b', 2, 3)).toEqual([4, 5, 6, 7, 8, 9]);
  await truncate(path, (file.tensors.get('b') as StoredTensor).offset + 40);
  await expect(read('b', 4, 2)).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: expect.stringMatching(/model\.gguf: is cut short within b$/),
  });
  await file.close();
});

/** As ggml stores them: values and bytes of a block. */
const blocks: readonly (readonly [id: number, name: string, values: number, bytes: number])[] = [
  [0, 'F32', 1, 4],
  [1, 'F16', 1, 2],
  [2, 'Q4_0', 32, 2 + 16],
  [3, 'Q4_1', 32, 4 + 16],
  [6, 'Q5_0', 32, 2 + 4 + 16],
  [7, 'Q5_1', 32, 4 + 4 + 16],
  [8, 'Q8_0', 32, 2 + 32],
  [9, 'Q8_1', 32, 4 + 32],
  [10, 'Q2_K', 256, 4 + 16 + 64],
  [11, 'Q3_K', 256, 2 + 12 + 32 + 64],
  [12, 'Q4_K', 256, 4 + 12 + 128],
  [13, 'Q5_K', 256, 4 + 12 + 32 + 128],
  [14, 'Q6_K', 256, 2 + 16 + 64 + 128],
  [15, 'Q8_K', 256, 4 + 256 + 32],
  [16, 'IQ2_XXS', 256, 2 + 64],
  [17, 'IQ2_XS', 256, 2 + 64 + 8],
  [18, 'IQ3_XXS', 256, 2 + 64 + 32],
  [19, 'IQ1_S', 256, 2 + 32 + 16],
  [20, 'IQ4_NL', 32, 2 + 16],
  [21, 'IQ3_S', 256, 2 + 64 + 8 + 32 + 4],
  [22, 'IQ2_S', 256, 2 + 32 + 32 + 16],
  [23, 'IQ4_XS', 256, 2 + 2 + 4 + 128],
  [24, 'I8', 1, 1],
  [25, 'I16', 1, 2],
  [26, 'I32', 1, 4],
  [27, 'I64', 1, 8],
  [28, 'F64', 1, 8],
  [29, 'IQ1_M', 256, 32 + 16 + 8],
  [30, 'BF16', 1, 2],
  [34, 'TQ1_0', 256, 2 + 4 + 48],
  [35, 'TQ2_0', 256, 2 + 64],
  [39, 'MXFP4', 32, 1 + 16],
  [40, 'NVFP4', 64, 4 + 32],
  [41, 'Q1_0', 128, 2 + 16],
];

test.each(blocks)('type %i is %s: blocks of %i values in %i bytes', async (id, name, values, bytes) => {
  const tensor = { name: 'a', type: id, shape: [3, 2 * values], data: new Uint8Array(6 * bytes) };
  await writeGguf(path, content([tensor, floats('b', 4)]));
  const file = await GgufFile.open(path);
  const { type, rowBytes } = file.tensors.get('a') as StoredTensor;
  expect({ type, rowBytes }).toEqual({ type: { name, blockValues: values, blockBytes: bytes }, rowBytes: 2 * bytes });
  await file.close();
});

test('a vocabulary of 250 000 words is read', async () => {
  const count = 250_000;
  const words = Array.from({ length: count }, (_, id) => `word${id}`);
  await writeGguf(path, content([], { words, types: words.map((_, id) => id) }));
  const file = await GgufFile.open(path);
  expect((file.metadata.get('words') as string[])[count - 1]).toBe('word249999');
  expect((file.metadata.get('types') as Int32Array)[count - 1]).toBe(249_999);
  await file.close();
});

test.each<[string, Buffer, RegExp]>([
  ['an empty file', Buffer.alloc(0), /needs 4 more bytes at byte 0: the file ends before/],
  ['another file', Buffer.from('{"a":1}'), /is no GGUF file/],
  ['version 1', changed(version, u32(1)), /is GGUF of version 1; versions 2 and 3 are read/],
  ['a version to come', changed(version, u32(4)), /is GGUF of version 4/],
  ['the other byte order', changed(version, Buffer.from([0, 0, 0, 3])), /is big-endian/],
  ['absurdly many tensors', changed(tensorCount, u64(2n ** 60n)), /says it has \d+ tensors; at most 262144/],
  ['absurdly many values', changed(valueCount, u64(2n ** 60n)), /says it has \d+ values; at most 65536/],
  ['more tensors than it has', changed(tensorCount, u64(100n)), /tensor 2 |dimensions|needs/],
  ['more values than it has', changed(valueCount, u64(2n)), /is of the unknown type|needs/],
  ['a text beyond the file', changed(keyLength, u64(2n ** 63n)), /the key of value 0 needs \d+ more bytes at byte 32/],
  ['a text that is not UTF-8', changed(keyLength + 8, Buffer.of(0xff)), /has a text that is not UTF-8/],
  ['an unknown type of value', changed(valueType, u32(13)), /key is of the unknown type 13/],
  ['a value beyond the file', changed(valueLength, u64(1n << 40n)), /key needs 1099511627776 more bytes/],
  ['no dimensions', changed(table + 9, u32(0)), /a has 0 dimensions/],
  ['five dimensions', changed(table + 9, u32(5)), /a has 5 dimensions/],
  ['a dimension of 0', changed(table + 13, u64(0n)), /a is of shape \[2, 0\]: a dimension of 0 holds nothing/],
  ['a dimension beyond counting', changed(table + 13, u64(2n ** 63n)), /a is of shape .* beyond counting/],
  ['a dimension beyond the file', changed(table + 21, u64(2n ** 20n)), /is cut short: a ends at byte/],
  ['an unknown type of tensor', changed(table + 29, u32(99)), /a is of the unknown type 99/],
  ['rows that blocks do not fill', changed(table + 29, u32(2)), /a has rows of 3 values, which blocks of 32 \(Q4_0\)/],
  ['a place that is not aligned', changed(table + 33, u64(4n)), /a begins at 4 of the data, no multiple of 32; 0 is/],
  ['a place behind a gap', changed(table + 33, u64(64n)), /a begins at 64 of the data, behind a gap/],
])('%s', async (_, bytes, message) => {
  await writeFile(path, bytes);
  const opened = GgufFile.open(path);
  await expect(opened).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID', message: expect.stringMatching(message) });
  await expect(opened).rejects.toThrow(path);
});

test.each<[string, GgufContent, RegExp]>([
  ['a tensor twice', content([floats('a', 1), floats('a', 1)]), /has a twice/],
  [
    'a tensor within another',
    content([floats('a', 16), { ...floats('b', 1), begin: 32n }]),
    /b begins at 32 .* within/,
  ],
  ['an alignment that is no power of two', content([], { 'general.alignment': 48 }), /general.alignment is 48/],
  ['an alignment of nothing', content([], { 'general.alignment': 0 }), /general.alignment is 0/],
  ['an alignment that is a text', content([], { 'general.alignment': '32' }), /general.alignment is 32/],
])('%s', async (_, file, message) => {
  await writeGguf(path, file);
  await expect(GgufFile.open(path)).rejects.toThrow(message);
});

test('a value twice, and a file that ends within a tensor', async () => {
  const twice = ggufBytes(content([], { ab: true, ac: true }));
  twice.write('b', twice.indexOf('ac') + 1);
  await writeFile(path, twice);
  await expect(GgufFile.open(path)).rejects.toThrow('has ab twice');
  const file = ggufBytes(content([floats('a', 64)]));
  await writeFile(path, file.subarray(0, -4));
  await expect(GgufFile.open(path)).rejects.toThrow(/is cut short: a ends at byte 320 of 316/);
});

test('a list of texts of which one is not UTF-8 is refused', async () => {
  const file = ggufBytes(content([], { words: ['first', 'second', 'third'] }));
  file[file.indexOf('second')] = 0xff;
  await writeFile(path, file);
  await expect(GgufFile.open(path)).rejects.toThrow(/words has a text that is not UTF-8/);
});

test('of a file that is larger than any header, a header is read up to its limit', async () => {
  const limit = 256 * 1024 * 1024;
  // magic, version, no tensors, one value: its key of one letter, its type, and how long its text is.
  const begin = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(0n), u64(1n), u64(1n), Buffer.from('k'), u32(8)]);
  const most = limit - begin.length - 8;
  await writeFile(path, Buffer.concat([begin, u64(BigInt(most + 1))]));
  // The rest is a hole: nothing of it is written, nor read.
  await truncate(path, limit + 1024);
  await expect(GgufFile.open(path)).rejects.toThrow(
    `k needs ${most + 1} more bytes at byte ${begin.length + 8}: a header has at most ${limit}`,
  );
  await truncate(path, limit);
  await expect(GgufFile.open(path)).rejects.toThrow(
    `k needs ${most + 1} more bytes at byte ${begin.length + 8}: the file ends before`,
  );
});

test('lists in lists are read four deep, and no deeper', async () => {
  const nested = (depth: number): Buffer => {
    const lists = Array.from({ length: depth }, () => Buffer.concat([u32(9), u64(1n)]));
    return Buffer.concat([
      Buffer.from('GGUF'),
      u32(3),
      u64(0n),
      u64(1n),
      u64(1n),
      Buffer.from('k'),
      u32(9),
      ...lists.slice(1),
      u32(4),
      u64(1n),
      u32(7),
    ]);
  };
  await writeFile(path, nested(4));
  const file = await GgufFile.open(path);
  expect(file.metadata.get('k')).toEqual([[[Uint32Array.of(7)]]]);
  await file.close();
  await writeFile(path, nested(5));
  await expect(GgufFile.open(path)).rejects.toThrow('k has arrays within arrays, 4 deep');
});

test('elements of all lists are counted together before anything is allotted', async () => {
  const list = Buffer.concat([u32(9), u32(0), u64(3_000_000n), Buffer.alloc(3_000_000)]);
  const pair = (key: string): Buffer => Buffer.concat([u64(1n), Buffer.from(key), list]);
  const header = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(0n), u64(2n)]);
  await writeFile(path, Buffer.concat([header, pair('a'), pair('b')]));
  await expect(GgufFile.open(path)).rejects.toThrow('b has arrays of more than 4194304 elements');
});
