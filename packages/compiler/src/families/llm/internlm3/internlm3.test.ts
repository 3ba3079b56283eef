import { expect, test } from 'vitest';
import { declaredBy } from '../../../testing/declared-by.js';
import { internlm3 } from './internlm3.js';

const published = {
  architectures: ['InternLM3ForCausalLM'],
  attention_dropout: 0.0,
  auto_map: { AutoConfig: 'configuration_internlm3.InternLM3Config' },
  bias: false,
  bos_token_id: 1,
  eos_token_id: 2,
  head_dim: 128,
  hidden_act: 'silu',
  hidden_size: 4096,
  initializer_range: 0.02,
  intermediate_size: 10240,
  max_position_embeddings: 32768,
  model_type: 'internlm3',
  num_attention_heads: 32,
  num_hidden_layers: 48,
  num_key_value_heads: 2,
  pad_token_id: 2,
  qkv_bias: false,
  rms_norm_eps: 1e-5,
  rope_scaling: { factor: 6.0, rope_type: 'dynamic' },
  rope_theta: 50000000,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.47.1',
  use_cache: true,
  vocab_size: 128512,
};

test('takes the config of InternLM3 8B as it is published, and finds as many parameters in it as it has', () => {
  const model = internlm3(published, 'config.json');
  expect(declaredBy(model).parameters).toBe(8_804_241_408);
  expect(model.section).toMatchObject({ kvHeads: 2, headDim: 128, maxPositions: 32768 });
});

const small = { ...published, hidden_size: 64, intermediate_size: 40, num_attention_heads: 4, head_dim: 8 };

test('biases of queries, keys and values, and of all else, each where the config says so', () => {
  const biases = (changes: object): string[] => {
    const { shapes } = declaredBy(internlm3({ ...small, ...changes }, 'c'));
    const first = [...shapes.keys()].filter((name) => name.startsWith('model.layers.0.') && name.endsWith('.bias'));
    return first.map((name) => name.split('.').at(-2) as string).sort();
  };
  expect(biases({})).toEqual([]);
  expect(biases({ qkv_bias: true })).toEqual(['k_proj', 'q_proj', 'v_proj']);
  expect(biases({ bias: true })).toEqual(['down_proj', 'gate_proj', 'o_proj', 'up_proj']);
});

test.each([
  [{ rope_scaling: { rope_type: 'longrope', factor: 6 } }, /config.json.rope_scaling.rope_type: is not supported/],
  [{ attention_bias: true }, /config.json.attention_bias: is not supported/],
  [{ head_dim: 12 }, /config.json.head_dim: gives heads of size 12/],
  [{ num_key_value_heads: 3 }, /config.json.num_attention_heads: is no multiple of num_key_value_heads/],
])('a config with %o is refused', (changes, message) => {
  expect(() => internlm3({ ...small, ...changes }, 'config.json')).toThrow(message);
});
