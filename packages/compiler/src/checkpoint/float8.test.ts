import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '@tessera/bundle';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compileCheckpoint } from '../compile-checkpoint.js';
import { inspectCheckpoint } from '../inspect-checkpoint.js';
import { writeSmallLlama } from '../testing/small-llama.js';
import { type TensorContent, writeSafetensors } from '../testing/write-safetensors.js';
import { Checkpoint } from './checkpoint.js';
import { SafetensorsFile } from './safetensors.js';

let dir = '';

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tessera-float8-'));
});

afterEach(() => rm(dir, { recursive: true, force: true }));

/** Rows of 1, 2, 4, 8 and so on, in float8. */
const weight = (rows: number, columns: number): TensorContent => ({
  dtype: 'F8_E4M3',
  shape: [rows, columns],
  data: Uint8Array.from({ length: rows * columns }, (_, i) => 0x38 + 8 * (Math.floor(i / columns) % 4)),
});

const floats = (shape: readonly number[], ...values: number[]): TensorContent => ({
  dtype: 'F32',
  shape,
  data: new Uint8Array(Float32Array.from(values).buffer),
});

async function write(tensors: Record<string, TensorContent>, quantization?: unknown): Promise<void> {
  await writeSafetensors(join(dir, 'model.safetensors'), tensors);
  await writeFile(join(dir, 'config.json'), JSON.stringify({ quantization_config: quantization }));
}

async function read(rows: number, columns: number): Promise<number[]> {
  const checkpoint = await Checkpoint.open(dir);
  try {
    const parameter = checkpoint.parameter('fc.weight', [rows, columns]);
    const whole = [...(await parameter.read())];
    // By rows, from the last one on, it is the same.
    for (let row = rows - 1; row >= 0; row--) {
      const one = new Float32Array(columns);
      await parameter.readRows(row, one);
      expect([...one]).toEqual(whole.slice(row * columns, (row + 1) * columns));
    }
    return whole;
  } finally {
    await checkpoint.close();
  }
}

const fp8 = { quant_method: 'fp8', fmt: 'e4m3', activation_scheme: 'dynamic', weight_block_size: [2, 3] };
const compressed = (strategy: string): unknown => ({
  quant_method: 'compressed-tensors',
  format: 'float-quantized',
  config_groups: {
    group_0: { targets: ['Linear'], weights: { num_bits: 8, type: 'float', strategy }, input_activations: {} },
  },
  ignore: ['lm_head'],
});

describe('weights of float8 are multiplied by their scales', () => {
  test('one for each tile, the last tiles not full, as DeepSeek and Qwen3 have it', async () => {
    const scales = floats([2, 2], 1, 10, 100, 1000);
    await write({ 'fc.weight': weight(3, 4), 'fc.weight_scale_inv': scales }, fp8);
    expect(await read(3, 4)).toEqual([1, 1, 1, 10, 2, 2, 2, 20, 400, 400, 400, 4000]);
  });

  test('tiles of 128 where the config does not say', async () => {
    const scales = floats([2, 1], 1, 3);
    await write({ 'fc.weight': weight(130, 2), 'fc.weight_scale_inv': scales }, { quant_method: 'fp8' });
    const values = await read(130, 2);
    expect(values.slice(0, 4)).toEqual([1, 1, 2, 2]);
    expect(values.slice(127 * 2)).toEqual([8, 8, 3, 3, 6, 6]);
  });

  test.each([
    ['tensor', [], [5], [5, 5, 10, 10, 20, 20]],
    ['tensor', [1], [5], [5, 5, 10, 10, 20, 20]],
    ['channel', [3, 1], [1, 10, 100], [1, 1, 20, 20, 400, 400]],
    ['channel', [3], [1, 10, 100], [1, 1, 20, 20, 400, 400]],
  ])('one for each %s, of shape %o, as compressed-tensors has it', async (strategy, shape, scales, expected) => {
    const tensors = { 'fc.weight': weight(3, 2), 'fc.weight_scale': floats(shape, ...scales) };
    await write({ ...tensors, 'fc.input_scale': floats([1], 0.5) }, compressed(strategy));
    expect(await read(3, 2)).toEqual(expected);
  });

  test('one for each row, beside a bound of activations, as fbgemm has it', async () => {
    const tensors = { 'fc.weight': weight(3, 2), 'fc.weight_scale': floats([3, 1], 1, 10, 100) };
    const method = { quant_method: 'fbgemm_fp8', activation_scale_ub: 1200, modules_to_not_convert: ['lm_head'] };
    await write({ ...tensors, 'fc.input_scale_ub': floats([1], 1200) }, method);
    expect(await read(3, 2)).toEqual([1, 1, 20, 20, 400, 400]);
  });

  test('what belongs to them is no parameter of its own', async () => {
    const beside = {
      'fc.weight_scale_inv': floats([1], 1),
      'fc.input_scale': floats([1], 1),
      'fc.input_scale_ub': floats([1], 1200),
      scale: floats([1], 1),
    };
    await write({ 'fc.weight': weight(2, 2), ...beside }, fp8);
    const checkpoint = await Checkpoint.open(dir);
    expect([...checkpoint.tensors()].map(({ name }) => name).toSorted()).toEqual(['fc.weight', 'scale']);
    await checkpoint.close();
  });
});

test.each<[string, Record<string, TensorContent>, unknown, RegExp]>([
  ['without scales', {}, fp8, /fc.weight is F8_E4M3, and no file has fc.weight_scale_inv nor fc.weight_scale$/],
  [
    'with scales of another shape',
    { 'fc.weight_scale_inv': floats([3, 2], 1, 1, 1, 1, 1, 1) },
    fp8,
    /fc.weight_scale_inv is of shape \[3, 2\], which scales no weight of \[4, 4\]: \[1\], \[4, 1\] or \[2, 2\] would/,
  ],
  ['with a scale beyond float32', { 'fc.weight_scale': floats([1], 3e38) }, fp8, /element 0 of .*weight_scale is 3/],
  [
    'with an infinite scale',
    { 'fc.weight_scale': floats([1], 1 / 0) },
    fp8,
    /element 0 of fc.weight_scale is Infinity/,
  ],
  [
    'of gptq',
    {},
    { quant_method: 'gptq' },
    /config.json.quantization_config: is not supported: its weights are of gptq; fp8/,
  ],
  ['of awq', {}, { quant_method: 'awq', bits: 4 }, /its weights are of awq/],
  ['of bitsandbytes', {}, { quant_method: 'bitsandbytes' }, /its weights are of bitsandbytes/],
  ['of an unknown method', {}, { bits: 4 }, /config.json.quantization_config.quant_method/],
  ['of another float8', {}, { ...fp8, fmt: 'e5m2' }, /quantization_config.fmt: is not read; e4m3 is/],
  [
    'packed integers',
    {},
    { quant_method: 'compressed-tensors', format: 'pack-quantized', config_groups: {} },
    /quantization_config.format: is not read; float-quantized is/,
  ],
  [
    'turned before they were rounded',
    {},
    { ...(compressed('tensor') as object), transform_config: { config_groups: { R1: {} } } },
    /quantization_config.transform_config: is not supported/,
  ],
])('a model %s is refused', async (_, tensors, quantization, message) => {
  await write({ 'fc.weight': weight(4, 4), ...tensors }, quantization);
  await expect(read(4, 4)).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: expect.stringMatching(message),
  });
});

test('a model of which some layers are in float8 is compiled, and its scales are no tensors too many', async () => {
  const folder = join(dir, 'small');
  await writeSmallLlama(folder, { layers: 1 });
  const path = join(folder, 'model.safetensors');
  const file = await SafetensorsFile.open(path);
  const tensors: Record<string, TensorContent> = {};
  for (const { name, shape } of file.tensors.values()) {
    const [rows = 0, columns = 0] = shape;
    if (name.endsWith('_proj.weight')) {
      tensors[name] = weight(rows, columns);
      tensors[`${name}_scale_inv`] = floats([Math.ceil(rows / 128), Math.ceil(columns / 128)], 0.01);
    } else {
      tensors[name] = { dtype: 'F32', shape, data: new Uint8Array((await file.read(name)).buffer) };
    }
  }
  await file.close();
  await writeSafetensors(path, tensors);
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'));
  const quantization_config = { quant_method: 'fp8', activation_scheme: 'dynamic', weight_block_size: [128, 128] };
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, quantization_config }));
  await compileCheckpoint(folder, join(dir, 'bundle'), { weights: 'int8' });
  await (await readBundle(join(dir, 'bundle'))).verify();
  expect((await inspectCheckpoint(folder)).differences).toEqual([]);
});
