import { describe, expect, test } from 'vitest';
import { architectureOf } from './architecture.js';
import { configOf } from './config.js';
import type { StoredTensor } from './gguf-file.js';
import type { MetadataValue } from './header-reader.js';
import { Metadata } from './metadata.js';

type Values = Readonly<Record<string, MetadataValue | undefined>>;
type Shapes = Readonly<Record<string, readonly number[]>>;

const [layers, width, heads, headDim] = [3, 64, 4, 16];

/** Of a model of two key heads, without biases, whose head is the embedding. */
const shapes: Shapes = { 'token_embd.weight': [100, width], 'blk.0.attn_q.weight': [heads * headDim, width] };
const sizes: Values = {
  block_count: layers,
  embedding_length: width,
  context_length: 128,
  feed_forward_length: 96,
  'attention.head_count': heads,
  'attention.head_count_kv': 2,
  'attention.layer_norm_rms_epsilon': Math.fround(1e-5),
};

/** The config.json of a file of an architecture, some of whose values and tensors are others. */
function configWith(architecture: string, changes: Values = {}, more: Shapes = {}): Record<string, unknown> {
  const own = Object.entries({ ...sizes, ...changes }).flatMap(([key, value]) =>
    value === undefined ? [] : [[`${architecture}.${key}`, value] as const],
  );
  const metadata = new Metadata('model.gguf', new Map([['general.architecture', architecture], ...own]));
  const tensors = new Map(
    Object.entries({ ...shapes, ...more }).map(([name, shape]) => [name, { shape } as StoredTensor]),
  );
  return configOf(metadata, architectureOf(metadata), tensors, undefined);
}

const biases = (...names: readonly string[]): Shapes =>
  Object.fromEntries(names.map((name) => [`blk.0.${name}.bias`, [width]]));
const inputs = ['attn_q', 'attn_k', 'attn_v'];

test('sizes are those of the file, and what it does not say is what llama.cpp takes', () => {
  expect(configWith('llama')).toEqual({
    architectures: ['llama of a GGUF file'],
    model_type: 'llama',
    vocab_size: 100,
    hidden_size: width,
    intermediate_size: 96,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: 2,
    head_dim: headDim,
    hidden_act: 'silu',
    max_position_embeddings: 128,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: true,
    attention_bias: false,
    mlp_bias: false,
  });
  expect(configWith('llama', { 'attention.head_count_kv': undefined })).toHaveProperty('num_key_value_heads', heads);
});

test('a head of its own, wider heads than the width divided, another base of the angles', () => {
  const wide = { 'attention.key_length': 32, 'attention.value_length': 32, 'rope.dimension_count': 32 };
  const wider = configWith('llama', wide, { 'blk.0.attn_q.weight': [heads * 32, width] });
  expect(wider).toMatchObject({ head_dim: 32, tie_word_embeddings: true });
  expect(configWith('llama', { 'rope.freq_base': 500_000 }, { 'output.weight': [100, width] })).toMatchObject({
    rope_theta: 500_000,
    tie_word_embeddings: false,
  });
});

test('what is given for each layer must be the same for all', () => {
  const each = (...values: readonly number[]): Values => ({ feed_forward_length: Int32Array.from(values) });
  expect(configWith('llama', each(96, 96, 96))).toMatchObject({ intermediate_size: 96 });
  expect(() => configWith('llama', each(96, 96, 128))).toThrow(
    'model.gguf: llama.feed_forward_length differs from layer to layer, which is not supported',
  );
});

describe('biases are where their tensors are', () => {
  test.each<[string, readonly string[], object]>([
    ['llama', [...inputs, 'attn_output'], { attention_bias: true, mlp_bias: false }],
    ['llama', ['ffn_gate', 'ffn_up', 'ffn_down'], { attention_bias: false, mlp_bias: true }],
    ['qwen3', [], { attention_bias: false }],
    ['qwen3', [...inputs, 'attn_output'], { attention_bias: true }],
    ['qwen3moe', [], { attention_bias: false }],
    ['qwen2moe', [], { qkv_bias: false }],
    ['qwen2moe', inputs, { qkv_bias: true }],
  ])('%s with those of %j', (architecture, names, fields) => {
    expect(configWith(architecture, {}, biases(...names))).toMatchObject(fields);
  });

  test('those that a config names together are all there, or none is', () => {
    expect(() => configWith('qwen2moe', {}, biases('attn_q', 'attn_v'))).toThrow(
      'model.gguf: blk.0.attn_k.bias is missing, but blk.0.attn_q.bias is there: models of type qwen2_moe have both or none',
    );
    expect(() => configWith('llama', {}, biases('ffn_up', 'ffn_down'))).toThrow(/blk.0.ffn_gate.bias is missing/);
  });

  test('a family that has them in any case names none', () => {
    const fields = Object.keys(configWith('qwen2', {}, biases(...inputs)));
    expect(fields.filter((field) => field.includes('bias'))).toEqual([]);
  });
});

test('angles are stretched as the file says, under its older name, too', () => {
  const scaling = (changes: Values): unknown => configWith('llama', changes).rope_scaling;
  const linear = { rope_type: 'linear', factor: 4 };
  expect(scaling({})).toBeUndefined();
  expect(scaling({ 'rope.scaling.factor': 4 })).toEqual(linear);
  expect(scaling({ 'rope.scaling.type': 'linear', 'rope.scaling.factor': 4 })).toEqual(linear);
  expect(scaling({ 'rope.scale_linear': 4 })).toEqual(linear);
  expect(scaling({ 'rope.scaling.type': 'none', 'rope.scaling.factor': 4 })).toBeUndefined();
  expect(scaling({ 'rope.scaling.type': 'linear', 'rope.scaling.factor': 1 })).toBeUndefined();
  const yarn = { 'rope.scaling.type': 'yarn', 'rope.scaling.factor': 4 };
  expect(scaling(yarn)).toEqual({ rope_type: 'yarn', factor: 4 });
  const told = {
    ...yarn,
    'rope.scaling.original_context_length': 32,
    'rope.scaling.yarn_beta_fast': 16,
    'rope.scaling.yarn_beta_slow': 2,
  };
  expect(scaling(told)).toEqual({
    rope_type: 'yarn',
    factor: 4,
    original_max_position_embeddings: 32,
    beta_fast: 16,
    beta_slow: 2,
  });
});

test('a LLaMA with a window is a Mistral, one with experts a Mixtral, and one with both is none', () => {
  expect(configWith('llama', { 'attention.sliding_window': 32 })).toMatchObject({
    model_type: 'mistral',
    sliding_window: 32,
  });
  expect(configWith('llama', { 'attention.sliding_window': 0 })).toMatchObject({ model_type: 'llama' });
  const experts = { expert_count: 8, expert_used_count: 2 };
  const mixtral = { model_type: 'mixtral', num_local_experts: 8, num_experts_per_tok: 2 };
  expect(configWith('llama', experts)).toMatchObject(mixtral);
  expect(configWith('llama', { ...experts, expert_weights_norm: true })).toMatchObject(mixtral);
  expect(() => configWith('llama', { ...experts, expert_weights_norm: false })).toThrow(
    'llama.expert_weights_norm is false, which is not supported',
  );
  expect(() => configWith('llama', { ...experts, 'attention.sliding_window': 32 })).toThrow(
    'llama.attention.sliding_window is not supported beside experts',
  );
});

describe('experts of Qwen', () => {
  const counts = { expert_count: 8, expert_used_count: 2 };
  /** Layers 1 and 2 have experts, of a size each; the first layer has an MLP of its own. */
  const routed: Shapes = Object.fromEntries(
    [1, 2].flatMap((layer) => [
      [`blk.${layer}.ffn_gate_inp.weight`, [8, width]],
      [`blk.${layer}.ffn_down_exps.weight`, [8, width, 24]],
      [`blk.${layer}.ffn_down_shexp.weight`, [width, 40]],
    ]),
  );

  test('layers without a router have none; sizes are those of their tensors', () => {
    const fields = {
      num_experts: 8,
      num_experts_per_tok: 2,
      decoder_sparse_step: 1,
      mlp_only_layers: [0],
      moe_intermediate_size: 24,
    };
    const qwen3 = configWith('qwen3moe', counts, routed);
    expect(qwen3).toMatchObject({ model_type: 'qwen3_moe', ...fields });
    expect(qwen3).not.toHaveProperty('shared_expert_intermediate_size');
    expect(configWith('qwen2moe', { ...counts, expert_shared_count: 1 }, routed)).toMatchObject({
      model_type: 'qwen2_moe',
      ...fields,
      shared_expert_intermediate_size: 40,
    });
  });

  test.each([
    ['qwen3moe', true],
    ['qwen2moe', false],
  ])('shares of %s sum to 1 where the file says so; where it says nothing: %s', (architecture, byDefault) => {
    expect(configWith(architecture, counts, routed)).toMatchObject({ norm_topk_prob: byDefault });
    for (const said of [true, false]) {
      expect(configWith(architecture, { ...counts, expert_weights_norm: said }, routed)).toMatchObject({
        norm_topk_prob: said,
      });
    }
  });

  test('more than one that all rows go to is refused', () => {
    expect(() => configWith('qwen2moe', { ...counts, expert_shared_count: 2 }, routed)).toThrow(
      'qwen2moe.expert_shared_count is 2; one at most is supported',
    );
  });
});
