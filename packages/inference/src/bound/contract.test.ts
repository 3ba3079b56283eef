import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Tensor, tensor, tensorFromBytes } from '@tessera/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { everyBackend } from '../testing/every-backend.js';
import { arithmetic, everyType, lookup, writeTestGraph } from '../testing/test-graphs.js';
import type { Binding, BoundSession } from './bound-session.js';
import { createBoundSession } from './create-bound-session.js';

let folder: string;
const paths = { arithmetic: '', lookup: '', everyType: '' };

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-bound-'));
  paths.arithmetic = writeTestGraph(folder, 'arithmetic', arithmetic);
  paths.lookup = writeTestGraph(folder, 'lookup', lookup);
  paths.everyType = writeTestGraph(folder, 'every-type', everyType);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const rows = (batch: number, data: Float32Array): Tensor => tensor('float32', [batch, 3], data);

describe.each(everyBackend)('%s', (_, options) => {
  async function withSession(path: string, body: (session: BoundSession) => Promise<void>): Promise<void> {
    const session = await createBoundSession(path, options);
    try {
      await body(session);
    } finally {
      await session.close();
    }
  }

  test('a session says its backend, and what its graph takes and gives', () =>
    withSession(paths.arithmetic, async ({ backend, fallbackReason, inputs, outputs }) => {
      expect({ backend, fallbackReason }).toEqual({ backend: options.backend, fallbackReason: undefined });
      const shape = ['batch', 3];
      expect(inputs).toEqual(['x', 'y'].map((name) => ({ name, dtype: 'float32', shape })));
      expect(outputs).toEqual(['sum', 'product'].map((name) => ({ name, dtype: 'float32', shape })));
    }));

  test('a run reads what the arrays hold at that time and writes into the bound ones, in place', () =>
    withSession(paths.arithmetic, async (session) => {
      const [x, y, sum, product] = [1, 2, 3, 4].map((first) => Float32Array.of(first, 10, 100)) as Float32Array[];
      const binding = session.createBinding();
      binding.bindInputs({ x: rows(1, x as Float32Array), y: rows(1, y as Float32Array) });
      binding.bindOutputs({ sum: rows(1, sum as Float32Array), product: rows(1, product as Float32Array) });
      await binding.run();
      expect([sum, product]).toEqual([Float32Array.of(3, 20, 200), Float32Array.of(2, 100, 10000)]);
      x?.set([7, 8, 9]);
      await binding.run();
      expect([sum, product]).toEqual([Float32Array.of(9, 18, 109), Float32Array.of(14, 80, 900)]);
    }));

  test('an output that is not bound is not given, and one buffer may be input and output', () =>
    withSession(paths.arithmetic, async (session) => {
      const x = Float32Array.of(1, 2, 3);
      const binding = session.createBinding();
      binding.bindInputs({ x: rows(1, x), y: rows(1, Float32Array.of(1, 1, 1)) });
      binding.bindOutputs({ sum: rows(1, x) });
      for (let time = 0; time < 3; time++) await binding.run();
      expect(x).toEqual(Float32Array.of(4, 5, 6));
    }));

  test('parts of one buffer are bound, and other shapes of it after that; nothing beside them is touched', () =>
    withSession(paths.arithmetic, async (session) => {
      const buffer = Float32Array.from({ length: 30 }, (__, at) => at);
      const sums = new Float32Array(30).fill(-1);
      const binding = session.createBinding();
      for (const [first, count] of [
        [4, 2],
        [0, 1],
        [9, 1],
        [2, 5],
      ] as const) {
        const part = (of: Float32Array) => rows(count, of.subarray(first * 3, (first + count) * 3));
        binding.bindInputs({ x: part(buffer), y: part(buffer) });
        binding.bindOutputs({ sum: part(sums) });
        sums.fill(-1);
        await binding.run();
        const inside = (at: number) => at >= first * 3 && at < (first + count) * 3;
        expect([...sums]).toEqual([...buffer].map((value, at) => (inside(at) ? 2 * value : -1)));
      }
    }));

  test('every type of element is taken and given, and a tensor of no elements', () =>
    withSession(paths.everyType, async (session) => {
      const inputs: Tensor[] = [
        tensor('float32', [2], Float32Array.of(1.5, Number.NaN)),
        tensor('float16', [2], Uint16Array.of(0x3c00, 0x7e00)),
        tensor('int64', [2], BigInt64Array.of(-1n, 2n ** 62n)),
        tensor('int32', [2], Int32Array.of(-1, 2 ** 31 - 1)),
        tensor('uint8', [2], Uint8Array.of(0, 255)),
        tensor('int8', [2], Int8Array.of(-128, 127)),
        tensor('bool', [2], Uint8Array.of(1, 0)),
      ];
      const named = (prefix: string, tensors: readonly Tensor[]) =>
        Object.fromEntries(tensors.map((each) => [`${prefix}_${each.dtype}`, each]));
      const zeros = ({ dtype, shape, data }: Tensor): Tensor =>
        tensorFromBytes(dtype, shape, new Uint8Array(data.byteLength));
      const outputs = inputs.map(zeros);
      const binding = session.createBinding();
      binding.bindInputs(named('in', inputs));
      binding.bindOutputs(named('out', outputs));
      await binding.run();
      expect(outputs).toEqual(inputs);
      const empty = (each: Tensor): Tensor => ({ ...each, shape: [0], data: each.data.subarray(0, 0) }) as Tensor;
      binding.bindInputs(named('in', inputs.map(empty)));
      binding.bindOutputs(named('out', outputs.map(empty)));
      await binding.run();
    }));

  test('what is bound stays in memory although nobody else knows it', () =>
    withSession(paths.arithmetic, async (session) => {
      const sum = new Float32Array(3);
      // Arrays as small as these lie in V8's own heap at first, and are moved there.
      const bindings = Array.from({ length: 50 }, (__, at) => {
        const binding = session.createBinding();
        binding.bindInputs({ x: rows(1, Float32Array.of(at, 0, 0)), y: rows(1, Float32Array.of(0, at, 1)) });
        binding.bindOutputs({ sum: rows(1, sum) });
        return binding;
      });
      const litter: Float32Array[] = [];
      for (const [at, binding] of bindings.entries()) {
        collectGarbage();
        litter.push(new Float32Array(3).fill(-1));
        await binding.run();
        expect(sum).toEqual(Float32Array.of(at, at, 1));
      }
    }));

  test.each<[what: string, problem: string, bind: (binding: Binding) => void]>([
    ['an unknown input', 'no input z', (b) => b.bindInputs({ z: rows(1, new Float32Array(3)) })],
    ['an unknown output', 'no output x', (b) => b.bindOutputs({ x: rows(1, new Float32Array(3)) })],
    [
      'another type',
      'x must be float32, not int32',
      (b) => b.bindInputs({ x: tensor('int32', [1, 3], new Int32Array(3)) }),
    ],
    [
      'another rank',
      'x must be [batch, 3], not [3]',
      (b) => b.bindInputs({ x: tensor('float32', [3], new Float32Array(3)) }),
    ],
    [
      'another size',
      'sum must be [batch, 3], not [1, 2]',
      (b) => b.bindOutputs({ sum: tensor('float32', [1, 2], new Float32Array(2)) }),
    ],
    [
      'a shape that is none',
      'x must be [batch, 3], not [-1, 3]',
      (b) => b.bindInputs({ x: { dtype: 'float32', shape: [-1, 3], data: new Float32Array(0) } }),
    ],
    [
      'too short an array',
      'needs 6 elements; its array has 5',
      (b) => b.bindInputs({ x: { dtype: 'float32', shape: [2, 3], data: new Float32Array(5) } }),
    ],
    [
      'shared memory',
      'x lies in shared memory',
      (b) => b.bindInputs({ x: rows(1, new Float32Array(new SharedArrayBuffer(12))) }),
    ],
  ])('%s is refused, and what was bound stays', (_what, problem, bind) =>
    withSession(paths.arithmetic, async (session) => {
      const sum = new Float32Array(3);
      const binding = session.createBinding();
      binding.bindInputs({ x: rows(1, Float32Array.of(1, 2, 3)), y: rows(1, Float32Array.of(1, 1, 1)) });
      binding.bindOutputs({ sum: rows(1, sum) });
      expect(() => bind(binding)).toThrow(
        expect.objectContaining({ code: 'TENSOR_INVALID', message: expect.stringContaining(problem) }),
      );
      await binding.run();
      expect(sum).toEqual(Float32Array.of(2, 3, 4));
    }),
  );

  test('a run without an input, or without any output, is refused', () =>
    withSession(paths.arithmetic, async (session) => {
      const binding = session.createBinding();
      binding.bindInputs({ x: rows(1, new Float32Array(3)) });
      binding.bindOutputs({ sum: rows(1, new Float32Array(3)) });
      await expect(binding.run()).rejects.toMatchObject({
        code: 'TENSOR_INVALID',
        message: 'the input y is not bound',
      });
      const other = session.createBinding();
      other.bindInputs({ x: rows(1, new Float32Array(3)), y: rows(1, new Float32Array(3)) });
      await expect(other.run()).rejects.toMatchObject({ code: 'TENSOR_INVALID', message: 'no output is bound' });
    }));

  test('an array that was transferred away is found out before the graph reads it', () =>
    withSession(paths.arithmetic, async (session) => {
      const x = Float32Array.of(1, 2, 3);
      const binding = session.createBinding();
      binding.bindInputs({ x: rows(1, x), y: rows(1, new Float32Array(3)) });
      binding.bindOutputs({ sum: rows(1, new Float32Array(3)) });
      structuredClone(x, { transfer: [x.buffer] });
      await expect(binding.run()).rejects.toMatchObject({
        code: 'TENSOR_INVALID',
        message: expect.stringContaining('x of shape [1, 3] needs 3 elements; its array has 0'),
      });
    }));

  test('what the graph refuses is told in the words of ONNX Runtime, and the next run is computed', () =>
    withSession(paths.lookup, async (session) => {
      const index = BigInt64Array.of(7n);
      const picked = new Float32Array(2);
      const binding = session.createBinding();
      binding.bindInputs({
        table: tensor('float32', [2, 2], Float32Array.of(1, 2, 3, 4)),
        index: tensor('int64', [1], index),
      });
      binding.bindOutputs({ picked: tensor('float32', [1, 2], picked) });
      await expect(binding.run()).rejects.toMatchObject({
        name: 'TesseraError',
        code: 'INTERNAL',
        message: expect.stringMatching(/the graph failed: .*out of data bounds, idx=7/s),
      });
      index[0] = 1n;
      await binding.run();
      expect(picked).toEqual(Float32Array.of(3, 4));
      // Larger than what the graph gives: nothing is written, nor left as it was without a word.
      binding.bindOutputs({ picked: tensor('float32', [2, 2], new Float32Array(4)) });
      await expect(binding.run()).rejects.toMatchObject({ code: 'INTERNAL' });
    }));

  test('numbers that are none go through: judging them is left to the caller', () =>
    withSession(paths.arithmetic, async (session) => {
      const sum = new Float32Array(3);
      const binding = session.createBinding();
      const x = Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
      binding.bindInputs({ x: rows(1, x), y: rows(1, Float32Array.of(1, 1, Number.NEGATIVE_INFINITY)) });
      binding.bindOutputs({ sum: rows(1, sum) });
      await binding.run();
      expect(sum).toEqual(Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, Number.NaN));
    }));

  test('a graph that cannot be loaded is refused, and so is a device that is not there', async () => {
    const missing = createBoundSession(join(folder, 'none.onnx'), options);
    await expect(missing).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('none'),
    });
    const cuda = createBoundSession(paths.arithmetic, { ...options, device: 'cuda' });
    await expect(cuda).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('cuda') });
  });
});
