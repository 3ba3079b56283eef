import { readFileSync } from 'node:fs';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { describe, expect, test } from 'vitest';
import { byModelType } from './family.js';
import { families } from './registry.js';

const demo = JSON.parse(readFileSync(`${demoModelDir}/config.json`, 'utf8')) as Record<string, Record<string, unknown>>;
const part = (name: string, changes: object): Record<string, unknown> => ({ ...demo[name], ...changes });

/** A dense decoder of the smallest size. */
const decoder = {
  vocab_size: 32,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 8,
};

/** What it has besides where some layers have experts. */
const experts = {
  num_experts: 4,
  num_experts_per_tok: 2,
  moe_intermediate_size: 8,
  shared_expert_intermediate_size: 16,
};

/** Every family, opened with a config of its own that has other fields too. */
const opened: Readonly<Record<string, (changes: object) => unknown>> = {
  resnet: (changes) => families.vision.resnet?.(part('vision_config', changes), 'config'),
  pixel_shuffle_mlp: (changes) =>
    families.connector.pixel_shuffle_mlp?.(part('connector_config', changes), 'config', { patches: 144, width: 256 }),
  ...Object.fromEntries(
    ['internlm2', 'internlm3', 'llama', 'mistral', 'mixtral', 'qwen2', 'qwen2_moe', 'qwen3'].map((name) => [
      name,
      (changes: object) =>
        families.llm[name]?.({ ...decoder, ...(name === 'qwen2_moe' && experts), ...changes }, 'config'),
    ]),
  ),
  qwen3_moe: (changes) => families.llm.qwen3_moe?.(part('text_config', changes), 'config'),
  pixart: (changes) => families.generator.pixart?.(part('generator_config', changes), 'config'),
};

test('every family is held to what follows', () => {
  const known = Object.values(families).flatMap((ofStage) => Object.keys(ofStage));
  expect(Object.keys(opened).toSorted()).toEqual(known.toSorted());
});

describe.each(Object.entries(opened))('%s', (_, open) => {
  test('takes what the base class of every config writes, and fields that ask for nothing', () => {
    const written = { architectures: ['X'], pruned_heads: {}, transformers_version: '4.51.0', use_cache: true };
    expect(open({ ...written, torch_dtype: 'float16', some_switch: false, some_option: null })).toBeDefined();
  });

  test.each([
    ['some_switch', true],
    ['some_option', 'fast'],
    ['some_scale', 2],
    ['pruned_heads', { 0: [1] }],
    ['quantization_config', { quant_method: 'fp8' }],
  ])('refuses a field that it does not know, by its name: %s', (name, value) => {
    expect(() => open({ [name]: value })).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_INVALID', message: `config.${name}: is not supported` }),
    );
  });
});

test('an unknown model_type is refused with the known ones; a name that every object has is none of them', () => {
  expect(() => byModelType(families.llm, { model_type: 'gpt2' }, 'text_config')).toThrow(
    'text_config.model_type is gpt2; known are internlm2, internlm3, llama, mistral, mixtral, qwen2, qwen2_moe, qwen3, qwen3_moe',
  );
  expect(() => byModelType(families.llm, { model_type: 'toString' }, 'text_config')).toThrow(/known are/);
});
