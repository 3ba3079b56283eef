import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compileCheckpoint } from './compile-checkpoint.js';
import { inspectCheckpoint } from './inspect-checkpoint.js';
import { ones, writeSafetensors } from './testing/write-safetensors.js';

const qwenVlDir = fileURLToPath(new URL('../fixtures/qwen-vl', import.meta.url));
let dir = '';

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tessera-inspect-'));
});

afterEach(() => rm(dir, { recursive: true, force: true }));

test('the demo model: declared and found are the same tensors, and so are the counts from the config alone', async () => {
  const full = await inspectCheckpoint(demoModelDir);
  expect(full).toMatchObject({ modelType: 'tessera', countedFrom: 'weights', compilable: true, differences: [] });
  expect(full.stages.map(({ stage, parameters }) => [stage, parameters])).toEqual([
    ['encoder', 2_787_264],
    ['connector', 330_240],
    ['llm', 8_798_208],
    ['generator', 7_081_920],
  ]);
  expect(full.stages.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12);
  await copyFile(join(demoModelDir, 'config.json'), join(dir, 'config.json'));
  expect(await inspectCheckpoint(dir)).toEqual({ ...full, countedFrom: 'config' });
});

test('Qwen-VL from its config.json: a fifth, under one per cent, four fifths, as many as its checkpoint has', async () => {
  const { stages, compilable, countedFrom, parameters } = await inspectCheckpoint(qwenVlDir);
  expect({ compilable, countedFrom }).toEqual({ compilable: false, countedFrom: 'config' });
  // The published figures, 1.9, 0.08 and 7.7 thousand million; the llm's are those of Qwen-7B.
  expect(stages.map((stage) => [stage.stage, stage.parameters])).toEqual([
    ['encoder', 1_842_770_688],
    ['connector', 92_839_936],
    ['llm', 7_721_324_544],
  ]);
  // Its weights are published in 19,313,870,336 bytes of bfloat16.
  expect(2 * parameters).toBe(19_313_870_336);
  const [encoder, connector, llm] = stages;
  expect(encoder?.share).toBeCloseTo(0.19, 2);
  expect(connector?.share).toBeLessThan(0.01);
  expect(llm?.share).toBeCloseTo(0.8, 2);
});

test('Qwen-VL with biases has one in each linear layer', async () => {
  const config = JSON.parse(await readFile(join(qwenVlDir, 'config.json'), 'utf8'));
  await writeFile(join(dir, 'config.json'), JSON.stringify({ ...config, no_bias: false }));
  const { parameters } = await inspectCheckpoint(dir);
  const { hidden_size: hidden, intermediate_size: inner, num_hidden_layers: layers } = config;
  expect(parameters - (await inspectCheckpoint(qwenVlDir)).parameters).toBe(layers * (2 * hidden + inner));
});

test('a model that can only be inspected is not compiled', async () => {
  await expect(compileCheckpoint(qwenVlDir, join(dir, 'out'), { weights: 'float32' })).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message: expect.stringContaining('qwen'),
  });
});

test('tensors that are missing, unexpected or of another shape are listed; counters are not tensors of the model', async () => {
  await copyFile(join(demoModelDir, 'config.json'), join(dir, 'config.json'));
  await writeSafetensors(join(dir, 'model.safetensors'), {
    'language_model.model.norm.weight': ones(128),
    'something.else': ones(4),
    'vision_tower.num_batches_tracked': { dtype: 'I64', shape: [], data: new Uint8Array(8) },
  });
  const { differences, parameters } = await inspectCheckpoint(dir);
  expect(parameters).toBe(128);
  expect(differences).toContainEqual({ name: 'language_model.model.norm.weight', declared: [256], found: [128] });
  expect(differences).toContainEqual({ name: 'something.else', declared: undefined, found: [4] });
  expect(differences).toContainEqual({ name: 'condition.null', declared: [16, 256], found: undefined });
  expect(differences.map(({ name }) => name)).not.toContain('vision_tower.num_batches_tracked');
});

test.each([
  ['no config', undefined, /config.json: is missing/],
  ['not JSON', '{', /config.json/],
  ['no model_type', '{}', /config.json.model_type/],
  ['an unknown model', '{"model_type":"gpt2"}', /model_type is gpt2; known are .*llama.*qwen3_moe.*tessera/],
  [
    'an unknown part',
    JSON.stringify({
      model_type: 'tessera',
      image_token_id: 1,
      vision_config: { model_type: 'vgg' },
      connector_config: {},
      text_config: { eos_token_id: 1 },
    }),
    /vision_config.model_type is vgg; known are resnet/,
  ],
  [
    'a quantised model',
    JSON.stringify({
      model_type: 'tessera',
      image_token_id: 1,
      text_config: { eos_token_id: 1 },
      quantization_config: { quant_method: 'gptq' },
    }),
    /config.json.quantization_config: is not supported/,
  ],
  ['more layers than can be', '{"model_type":"qwen","num_hidden_layers":1e9}', /config.json.num_hidden_layers/],
  ['a wrong field', '{"model_type":"qwen3_moe","eos_token_id":1,"hidden_size":-4}', /hidden_size/],
])('%s is said to be wrong', async (_, config, message) => {
  if (config !== undefined) await writeFile(join(dir, 'config.json'), config);
  await expect(inspectCheckpoint(dir)).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: expect.stringMatching(message),
  });
});
