import { expect, test } from 'vitest';
import { declaredBy } from '../../../testing/declared-by.js';
import { mixtral } from './mixtral.js';

const published = {
  architectures: ['MixtralForCausalLM'],
  attention_dropout: 0.0,
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: 'silu',
  hidden_size: 4096,
  initializer_range: 0.02,
  intermediate_size: 14336,
  max_position_embeddings: 32768,
  model_type: 'mixtral',
  num_attention_heads: 32,
  num_experts_per_tok: 2,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  num_local_experts: 8,
  output_router_logits: false,
  rms_norm_eps: 1e-5,
  rope_theta: 1000000.0,
  router_aux_loss_coef: 0.02,
  sliding_window: null,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.36.0.dev0',
  use_cache: true,
  vocab_size: 32000,
};

test('takes the config of Mixtral 8x7B as it is published, and finds as many parameters in it as it has', () => {
  const model = mixtral(published, 'config.json');
  const { parameters, shapes } = declaredBy(model);
  expect(parameters).toBe(46_702_792_704);
  expect(shapes.get('model.layers.31.block_sparse_moe.gate.weight')).toEqual([8, 4096]);
  expect(shapes.get('model.layers.31.block_sparse_moe.experts.7.w2.weight')).toEqual([4096, 14336]);
  expect(model.routed).toMatchObject({
    experts: 8,
    chosen: 2,
    layers: Array.from({ length: 32 }, (_, layer) => layer),
  });
});

const small = { ...published, hidden_size: 64, intermediate_size: 40, num_attention_heads: 8, num_hidden_layers: 2 };

test('a window in every layer, or none, as a config that does not name it has it', () => {
  const { sliding_window: _, ...silent } = small;
  expect(declaredBy(mixtral({ ...small, sliding_window: 8 }, 'c')).windows).toEqual([8, 8]);
  expect(declaredBy(mixtral(small, 'c')).windows).toEqual([undefined, undefined]);
  expect(declaredBy(mixtral(silent, 'c')).windows).toEqual([undefined, undefined]);
});

test.each([
  [{ num_experts_per_tok: 9 }, /config.json.num_experts_per_tok: is more than there are experts/],
  [{ num_local_experts: 0 }, /config.json.num_local_experts/],
  [{ num_experts: 4 }, /config.json.num_experts: is not supported/],
  [{ num_key_value_heads: 3 }, /config.json.num_attention_heads: is no multiple of num_key_value_heads/],
  [{ attention_bias: true }, /config.json.attention_bias: is not supported/],
  [{ intermediate_size: undefined }, /config.json.intermediate_size/],
])('a config with %o is refused', (changes, message) => {
  expect(() => mixtral({ ...small, ...changes }, 'config.json')).toThrow(message);
});
