import { narrowToFloat16 } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { type Parameter, parameterOfRows } from '../checkpoint/parameters.js';
import { GraphBuilder } from '../graph/index.js';
import { projectByBlocks } from './block-weights.js';
import { plainWeight, transposedWeight } from './float-weights.js';
import { quantizeBlocks, type RoundedLayout } from './quantize.js';

// Weights of real models are read, made and written part by part: each part must come to its place. What is compared with is
// made of the whole weight at once.

/** Rows of 4 KiB: a thousand are a part. */
const columns = 1024;

/** A weight whose rows are all different. */
function weightOf(rows: number): { values: Float32Array; weight: Parameter } {
  const values = Float32Array.from({ length: rows * columns }, (_, i) => ((i * 7919) % 10_007) / 5000 - 1);
  const readRows = async (first: number, target: Float32Array): Promise<void> => {
    target.set(values.subarray(first * columns, first * columns + target.length));
  };
  return { values, weight: parameterOfRows({ name: 'w', shape: [rows, columns], readRows }) };
}

/** The tensors of a graph's only group as they are written, and how many parts came. */
async function written(g: GraphBuilder): Promise<{ tensors: Buffer[]; parts: number }> {
  const [group, ...others] = g.weights;
  if (group === undefined || others.length > 0) throw new Error(`${g.weights.length} groups`);
  const tensors = group.tensors.map(({ bytes }) => Buffer.alloc(bytes, 0xff));
  let parts = 0;
  await group.load(async (index, offset, { buffer, byteOffset, byteLength }) => {
    parts++;
    tensors[index]?.set(new Uint8Array(buffer, byteOffset, byteLength), offset);
  });
  return { tensors, parts };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);

const types = ['float32', 'float16'] as const;
const heldAs = (type: (typeof types)[number], values: Float32Array): Buffer =>
  bytesOf(type === 'float32' ? values : narrowToFloat16(values));

test.each(types)('a weight of several parts as it is: %s', async (type) => {
  const { values, weight } = weightOf(2500);
  const g = new GraphBuilder('plain', 'float32');
  plainWeight(g, weight, type);
  const { tensors, parts } = await written(g);
  expect(parts).toBe(3);
  expect(tensors[0]?.equals(heldAs(type, values))).toBe(true);
});

test.each(types)('a weight that is turned, of one part and of several: %s', async (type) => {
  // 8192 rows are a part of 32 MiB.
  for (const rows of [100, 8300]) {
    const { values, weight } = weightOf(rows);
    const g = new GraphBuilder('turned', 'float32');
    transposedWeight(g, weight, type);
    const { tensors, parts } = await written(g);
    expect(parts).toBe(rows === 100 ? 1 : 2 * columns);
    const turned = new Float32Array(values.length);
    for (let row = 0, i = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) turned[column * rows + row] = values[i++] as number;
    }
    expect(tensors[0]?.equals(heldAs(type, turned))).toBe(true);
  }
});

const layout: RoundedLayout = { bits: 4, blockSize: 32, zeroPoints: 'uint8' };

test('once nobody wants it, nothing more is read of a weight that is in blocks', async () => {
  const { weight } = weightOf(2500);
  const read: number[] = [];
  const controller = new AbortController();
  const readRows = async (first: number, count: number) => {
    read.push(first);
    controller.abort();
    const blocks = (count * columns) / 32;
    return {
      values: new Uint8Array(blocks * 16),
      scales: new Float32Array(blocks),
      zeroPoints: new Uint8Array(blocks / 2),
    };
  };
  const g = new GraphBuilder('blocks', 'int4-zp');
  const x = g.input('x', 'float32', ['rows', columns]);
  projectByBlocks(x, { ...weight, stored: { ...layout, readRows } }, 'int4-zp', layout);
  const loaded = g.weights[0]?.load(async () => undefined, controller.signal);
  await expect(loaded).rejects.toThrow(/abort/i);
  expect(read).toEqual([0]);
});

test.each(['rounded', 'taken as it is stored'])('a weight of several parts in blocks, %s', async (how) => {
  const { values, weight } = weightOf(2500);
  const blocks = quantizeBlocks(values, 2500, columns, layout);
  const whole = [blocks.values, blocks.scales, blocks.zeroPoints as Uint8Array];
  const readRows = async (first: number, count: number) => {
    const [own, scales, zeroPoints] = whole.map((part) => {
      const row = part.length / 2500;
      return part.slice(first * row, (first + count) * row);
    });
    return { values: own as Uint8Array, scales: scales as Float32Array, zeroPoints: zeroPoints as Uint8Array };
  };
  const g = new GraphBuilder('blocks', 'int4-zp');
  const x = g.input('x', 'float32', ['rows', columns]);
  projectByBlocks(x, how === 'rounded' ? weight : { ...weight, stored: { ...layout, readRows } }, 'int4-zp', layout);
  const { tensors, parts } = await written(g);
  expect(parts).toBe(3 * whole.length);
  expect(tensors.map((tensor, index) => tensor.equals(bytesOf(whole[index] as ArrayBufferView)))).toEqual([
    true,
    true,
    true,
  ]);
});
