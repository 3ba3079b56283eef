import { execFileSync } from 'node:child_process';
import { mkdtemp, open, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toFloat16 } from '@tessera/protocol';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ones, withHeader, writeSafetensors } from '../testing/write-safetensors.js';
import { SafetensorsFile } from './safetensors.js';

let dir = '';
let path = '';

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tessera-safetensors-'));
  path = join(dir, 'weights.safetensors');
});

afterEach(() => rm(dir, { recursive: true, force: true }));

const values = Float32Array.of(0, -0, 1, -1.5, 0.099975586, 65504, 6.1035156e-5, 5.9604645e-8);

test('F32, F16 and BF16 are widened exactly', async () => {
  const half = toFloat16({ dtype: 'float32', shape: [8], data: values });
  const brain = Uint16Array.from([0x0000, 0x8000, 0x3f80, 0xbfc0, 0x7f7f, 0x4049, 0x0001, 0xff7f]);
  await writeSafetensors(path, {
    single: { dtype: 'F32', shape: [2, 4], data: new Uint8Array(values.buffer) },
    half: { dtype: 'F16', shape: [8], data: new Uint8Array(half.data.buffer) },
    brain: { dtype: 'BF16', shape: [8], data: new Uint8Array(brain.buffer) },
    scalar: { dtype: 'F32', shape: [], data: new Uint8Array(Float32Array.of(7).buffer) },
    nothing: { dtype: 'F32', shape: [0, 5], data: new Uint8Array(0) },
  });
  const file = await SafetensorsFile.open(path);
  expect(file.tensors.get('single')?.shape).toEqual([2, 4]);
  expect(await file.read('single')).toEqual(values);
  expect(await file.read('half')).toEqual(values);
  const expected = Array.from(brain, (bits) => new Float32Array(Uint32Array.of(bits << 16).buffer)[0]);
  expect([...(await file.read('brain'))]).toEqual(expected);
  expect([...(await file.read('scalar'))]).toEqual([7]);
  expect(await file.read('nothing')).toHaveLength(0);
  await file.close();
});

const entry = (dtype: unknown, shape: unknown, begin: unknown, end: unknown): unknown => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

/** What the reader reads at once, in elements: the places that matter are around its multiples. */
const chunk = 4 * 1024 * 1024;

test.each(['F32', 'F16', 'BF16'] as const)(
  'a %s tensor of many chunks is read to its end, and nothing twice',
  async (dtype) => {
    const size = { F32: 4, F16: 2, BF16: 2 }[dtype];
    const length = 2 * chunk + 3;
    // Zero but for a few places: the file has holes, and a chunk read from elsewhere brings its values with it.
    const marks = [0, 5, chunk - 1, chunk, chunk + 7, 2 * chunk - 1, 2 * chunk, length - 1];
    const bits = (value: number): Uint8Array => {
      const float = Float32Array.of(value);
      if (dtype === 'F16') return new Uint8Array(toFloat16({ dtype: 'float32', shape: [1], data: float }).data.buffer);
      return new Uint8Array(float.buffer).subarray(4 - size);
    };
    const text = JSON.stringify({
      small: entry('F32', [1], 0, 4),
      large: entry(dtype, [length], 4, 4 + size * length),
    });
    const start = withHeader(text, Buffer.from(Float32Array.of(0.5).buffer));
    const handle = await open(path, 'w');
    await handle.write(start, 0, start.length, 0);
    for (const [at, place] of marks.entries()) {
      await handle.write(bits(at + 1), 0, size, start.length + size * place);
    }
    await handle.close();
    const file = await SafetensorsFile.open(path);
    const read = await file.read('large');
    await file.close();
    expect(read).toHaveLength(length);
    const found: [number, number][] = [];
    for (let at = 0; at < length; at++) if (read[at] !== 0) found.push([at, read[at] as number]);
    expect(found).toEqual(marks.map((place, at) => [place, at + 1]));
  },
);

test.each([
  ['F32', Uint32Array.of(0, 0x7f800000, 0x7fc00000), 1, 'Infinity'],
  ['F16', Uint16Array.of(0x7bff, 0, 0x7e00), 2, 'NaN'],
  ['F16', Uint16Array.of(0xfc00, 0x7c01), 0, '-Infinity'],
  ['BF16', Uint16Array.of(0x7f7f, 0x7fc0), 1, 'NaN'],
  ['F8_E4M3', Uint8Array.of(0x7e, 0xfe, 0xff), 2, 'NaN'],
])('a %s weight that is infinite or no number is refused by name and place', async (dtype, bits, place, value) => {
  await writeSafetensors(path, {
    fine: ones(2),
    a: { dtype, shape: [bits.length], data: new Uint8Array(bits.buffer) },
  });
  const file = await SafetensorsFile.open(path);
  await expect(file.read('a')).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: `${path}: element ${place} of a is ${value}`,
  });
  expect([...(await file.read('fine'))]).toEqual([1, 1]);
  await file.close();
});

test('F8_E4M3 is widened exactly', async () => {
  const bits = Uint8Array.of(0x00, 0x80, 0x01, 0x07, 0x08, 0x38, 0xb9, 0x7e, 0xfe);
  await writeSafetensors(path, { a: { dtype: 'F8_E4M3', shape: [3, 3], data: bits } });
  const file = await SafetensorsFile.open(path);
  const expected = [0, -0, 2 ** -9, 7 * 2 ** -9, 2 ** -6, 1, -1.125, 448, -448];
  expect([...(await file.read('a'))]).toEqual(expected);
  await file.close();
});

test.each([
  ['BOOL', 1],
  ['U8', 1],
  ['I8', 1],
  ['F8_E4M3', 1],
  ['F8_E5M2', 1],
  ['I16', 2],
  ['U16', 2],
  ['F16', 2],
  ['BF16', 2],
  ['I32', 4],
  ['U32', 4],
  ['F32', 4],
  ['F64', 8],
  ['I64', 8],
  ['U64', 8],
])('an element of %s has %i bytes', async (dtype, size) => {
  await writeSafetensors(path, { a: { dtype, shape: [3], data: new Uint8Array(3 * size) } });
  const file = await SafetensorsFile.open(path);
  expect(file.tensors.get('a')).toMatchObject({ dtype, bytes: 3 * size });
  await file.close();
});

test('a header is read as far as the file and the format reach, and no further', async () => {
  const lengthOf = (headerBytes: number): Buffer => {
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(headerBytes));
    return prefix;
  };
  const refusal = (headerBytes: number, fileBytes: number): string =>
    `${path}: says its header has ${headerBytes} bytes; the file has ${fileBytes}, the limit is 100000000`;
  await writeFile(path, Buffer.concat([lengthOf(2), Buffer.from('{}')]));
  await (await SafetensorsFile.open(path)).close();
  await writeFile(path, Buffer.concat([lengthOf(3), Buffer.from('{}')]));
  await expect(SafetensorsFile.open(path)).rejects.toMatchObject({ message: refusal(3, 10) });
  // But for its length the file is a hole.
  await writeFile(path, lengthOf(100_000_001));
  await truncate(path, 200_000_000);
  await expect(SafetensorsFile.open(path)).rejects.toMatchObject({ message: refusal(100_000_001, 200_000_000) });
});

test('tensors without elements may lie where another begins, whichever the header names first', async () => {
  const text = JSON.stringify({ full: entry('F32', [1], 0, 4), empty: entry('F32', [0], 0, 0) });
  await writeFile(path, withHeader(text, Buffer.from(Float32Array.of(7).buffer)));
  const file = await SafetensorsFile.open(path);
  expect([...(await file.read('full'))]).toEqual([7]);
  expect(await file.read('empty')).toHaveLength(0);
  await file.close();
});

test.each<[string, Buffer, RegExp]>([
  ['an empty file', Buffer.alloc(0), /too short/],
  ['less than a length', Buffer.alloc(7), /too short/],
  ['a length beyond the file', Buffer.from('ffffffffffffff7f', 'hex'), /says its header has/],
  ['a header that is not JSON', withHeader('{"a":', Buffer.alloc(0)), /JSON/],
  ['a header that is no object', withHeader('[1]', Buffer.alloc(0)), /malformed/],
  [
    'a tensor that the header has twice',
    withHeader(
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}',
      Buffer.alloc(4),
    ),
    /its header has "a" twice/,
  ],
  [
    'a tensor that has its place twice',
    withHeader('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"data_offsets":[0,4]}}', Buffer.alloc(4)),
    /its header has "data_offsets" twice/,
  ],
  ['an unknown type', withHeader(JSON.stringify({ a: entry('F12', [1], 0, 4) }), Buffer.alloc(4)), /dtype/],
  ['a negative size', withHeader(JSON.stringify({ a: entry('F32', [-1], 0, 4) }), Buffer.alloc(4)), /shape/],
  ['a fraction', withHeader(JSON.stringify({ a: entry('F32', [1], 0.5, 4.5) }), Buffer.alloc(8)), /data_offsets/],
  [
    'bytes that do not fill the shape',
    withHeader(JSON.stringify({ a: entry('F32', [2], 0, 4) }), Buffer.alloc(4)),
    /has 4 bytes, not 8/,
  ],
  [
    'a shape beyond counting',
    withHeader(JSON.stringify({ a: entry('F32', [2 ** 40, 2 ** 40], 0, 0) }), Buffer.alloc(0)),
    /has 0 bytes/,
  ],
  [
    'tensors that overlap',
    withHeader(JSON.stringify({ a: entry('F32', [2], 0, 8), b: entry('F32', [1], 4, 8) }), Buffer.alloc(8)),
    /b overlaps/,
  ],
  ['a gap', withHeader(JSON.stringify({ a: entry('F32', [1], 4, 8) }), Buffer.alloc(8)), /a leaves a gap/],
  ['a file cut short', withHeader(JSON.stringify({ a: entry('F32', [2], 0, 8) }), Buffer.alloc(5)), /cut short/],
  [
    'bytes left over',
    withHeader(JSON.stringify({ a: entry('F32', [1], 0, 4) }), Buffer.alloc(5)),
    /1 bytes that belong to no tensor/,
  ],
])('%s is refused by name', async (_, bytes, why) => {
  await writeFile(path, bytes);
  const failure = await SafetensorsFile.open(path).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'CHECKPOINT_INVALID', message: expect.stringMatching(why) });
  expect(failure).toMatchObject({ message: expect.stringContaining(path) });
});

test.each([
  ['a hundred thousand faults', Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`tensor${i}`, 1]))],
  ['a name of a megabyte', { ['a'.repeat(1 << 20)]: entry('F32', [1], 4, 8) }],
])('%s: an error that can be read, of a few of them', async (_, header) => {
  await writeFile(path, withHeader(JSON.stringify(header), Buffer.alloc(8)));
  const failure = await SafetensorsFile.open(path).catch((error: unknown) => error as Error);
  expect(failure).toMatchObject({ code: 'CHECKPOINT_INVALID' });
  const { message } = failure as Error;
  expect(message.length).toBeLessThan(6000);
  if ('tensor0' in header) expect(message).toMatch(/tensor0: .*; tensor4: .*; and 99995 more$/);
});

test('what is asked for in vain: no such tensor, integers, a file that shrank', async () => {
  await writeSafetensors(path, {
    counter: { dtype: 'I64', shape: [1], data: new Uint8Array(8) },
    last: { dtype: 'F32', shape: [4], data: new Uint8Array(16) },
  });
  const file = await SafetensorsFile.open(path);
  await expect(file.read('absent')).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: /has no tensor absent/,
  });
  await expect(file.read('counter')).rejects.toMatchObject({ message: /counter is I64/ });
  await truncate(path, (await stat(path)).size - 1);
  await expect(file.read('last')).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID', message: /is cut short/ });
  await file.close();
});

test('a reading that is cancelled ends', async () => {
  await writeSafetensors(path, { a: ones(2) });
  const file = await SafetensorsFile.open(path);
  await expect(file.read('a', AbortSignal.abort())).rejects.toThrow(/abort/i);
  await file.close();
});

test('keys that are alike in two tensors, or beside quotation marks and braces, are not doubled', async () => {
  const text = JSON.stringify({
    __metadata__: { format: 'pt', note: '"a":{"a":1}' },
    'a\\"': entry('F32', [1], 0, 4),
    a: entry('F32', [1], 4, 8),
  });
  await writeFile(path, withHeader(text, Buffer.alloc(8)));
  const file = await SafetensorsFile.open(path);
  expect([...file.tensors.keys()]).toEqual(['a\\"', 'a']);
  await file.close();
});

test('types may be mixed in a file, and rows be read from any place', async () => {
  const brain = Uint16Array.of(0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0);
  await writeSafetensors(path, {
    half: { dtype: 'F16', shape: [1], data: new Uint8Array(Uint16Array.of(0x3c00).buffer) },
    brain: { dtype: 'BF16', shape: [3, 2], data: new Uint8Array(brain.buffer) },
    eighth: { dtype: 'F8_E4M3', shape: [3], data: Uint8Array.of(0x38, 0x40, 0x44) },
    single: { dtype: 'F32', shape: [3], data: new Uint8Array(Float32Array.of(7, 8, 9).buffer) },
  });
  const file = await SafetensorsFile.open(path);
  const target = new Float32Array(7);
  await file.readInto('brain', 2, target.subarray(1, 5));
  expect([...target]).toEqual([0, 3, 4, 5, 6, 0, 0]);
  await file.readInto('eighth', 1, target.subarray(5));
  expect([...target]).toEqual([0, 3, 4, 5, 6, 2, 3]);
  await file.readInto('single', 2, target.subarray(0, 1));
  expect([...target]).toEqual([9, 3, 4, 5, 6, 2, 3]);
  await file.close();
});

test.runIf(process.platform !== 'win32')(
  'a pipe in the place of a file is refused, and nobody waits for its writer',
  async () => {
    execFileSync('mkfifo', [path]);
    await expect(SafetensorsFile.open(path)).rejects.toMatchObject({ message: `${path}: is not a file` });
  },
);
