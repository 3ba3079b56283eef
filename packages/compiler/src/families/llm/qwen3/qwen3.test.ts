import { expect, test } from 'vitest';
import { declaredBy } from '../../../testing/declared-by.js';
import { qwen3 } from './qwen3.js';

const published = {
  architectures: ['Qwen3ForCausalLM'],
  attention_bias: false,
  attention_dropout: 0.0,
  bos_token_id: 151643,
  eos_token_id: 151645,
  head_dim: 128,
  hidden_act: 'silu',
  hidden_size: 1024,
  initializer_range: 0.02,
  intermediate_size: 3072,
  max_position_embeddings: 40960,
  max_window_layers: 28,
  model_type: 'qwen3',
  num_attention_heads: 16,
  num_hidden_layers: 28,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-6,
  rope_scaling: null,
  rope_theta: 1000000,
  sliding_window: null,
  tie_word_embeddings: true,
  torch_dtype: 'bfloat16',
  transformers_version: '4.51.0',
  use_cache: true,
  use_sliding_window: false,
  vocab_size: 151936,
};

test('takes the config of Qwen3 0.6B as it is published, and finds as many parameters in it as it has', () => {
  const { parameters, shapes } = declaredBy(qwen3(published, 'config.json'));
  expect(parameters).toBe(596_049_920);
  expect(shapes.get('model.layers.3.self_attn.q_norm.weight')).toEqual([128]);
  expect(shapes.get('model.layers.3.self_attn.q_proj.weight')).toEqual([2048, 1024]);
});

test('biases of attention where the config says so', () => {
  const { shapes } = declaredBy(qwen3({ ...published, attention_bias: true }, 'config.json'));
  expect(shapes.get('model.layers.0.self_attn.o_proj.bias')).toEqual([1024]);
});

test.each([
  [{ head_dim: 20 }, /config.json.head_dim: gives heads of size 20/],
  [{ layer_types: ['full_attention'] }, /config.json.layer_types: has 1 entries for 28 layers/],
])('a config with %o is refused', (changes, message) => {
  expect(() => qwen3({ ...published, ...changes }, 'config.json')).toThrow(message);
});
