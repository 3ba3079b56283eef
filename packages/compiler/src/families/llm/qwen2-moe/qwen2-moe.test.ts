import { expect, test } from 'vitest';
import { declaredBy } from '../../../testing/declared-by.js';
import { qwen2Moe } from './qwen2-moe.js';

const published = {
  architectures: ['Qwen2MoeForCausalLM'],
  attention_dropout: 0.0,
  bos_token_id: 151643,
  decoder_sparse_step: 1,
  eos_token_id: 151643,
  hidden_act: 'silu',
  hidden_size: 2048,
  initializer_range: 0.02,
  intermediate_size: 5632,
  max_position_embeddings: 8192,
  max_window_layers: 21,
  model_type: 'qwen2_moe',
  moe_intermediate_size: 1408,
  norm_topk_prob: false,
  num_attention_heads: 16,
  num_experts: 60,
  num_experts_per_tok: 4,
  num_hidden_layers: 24,
  num_key_value_heads: 16,
  output_router_logits: false,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000.0,
  router_aux_loss_coef: 0.001,
  shared_expert_intermediate_size: 5632,
  sliding_window: 32768,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.39.0.dev0',
  use_cache: true,
  use_sliding_window: false,
  vocab_size: 151936,
};

test('takes the config of Qwen1.5-MoE-A2.7B as it is published, and finds as many parameters in it as it has', () => {
  const { parameters, shapes, windows } = declaredBy(qwen2Moe(published, 'config.json'));
  expect(parameters).toBe(14_315_784_192);
  expect(shapes.get('model.layers.23.mlp.shared_expert_gate.weight')).toEqual([1, 2048]);
  expect(shapes.get('model.layers.23.mlp.shared_expert.up_proj.weight')).toEqual([5632, 2048]);
  expect(shapes.get('model.layers.23.mlp.experts.59.down_proj.weight')).toEqual([2048, 1408]);
  expect(shapes.get('model.layers.23.self_attn.v_proj.bias')).toEqual([2048]);
  expect(shapes.has('model.layers.23.self_attn.o_proj.bias')).toBe(false);
  expect(windows).toEqual(new Array(24).fill(undefined));
});

const small = {
  ...published,
  hidden_size: 64,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_hidden_layers: 5,
  num_experts: 4,
};

test('takes what transformers 5 writes in other ways', () => {
  const { num_experts: _, rope_theta: __, torch_dtype: ___, ...rest } = small;
  const rope_parameters = { rope_theta: 10000.0, rope_type: 'default' };
  const written = {
    ...rest,
    num_local_experts: 4,
    sliding_window: 0,
    layer_types: new Array(5).fill('full_attention'),
  };
  expect(qwen2Moe({ ...written, dtype: 'float32', rope_parameters }, 'c').routed?.experts).toBe(4);
});

test('layers without experts have one MLP, and no expert of all rows', () => {
  const model = qwen2Moe({ ...small, decoder_sparse_step: 2, mlp_only_layers: [3], intermediate_size: 40 }, 'c');
  expect(model.routed?.layers).toEqual([1]);
  const { shapes } = declaredBy(model);
  expect(shapes.get('model.layers.3.mlp.up_proj.weight')).toEqual([40, 64]);
  expect([...shapes.keys()].filter((name) => name.includes('shared_expert_gate'))).toEqual([
    'model.layers.1.mlp.shared_expert_gate.weight',
  ]);
});

test('biases of queries, keys and values, unless the config says that there are none', () => {
  const { shapes } = declaredBy(qwen2Moe({ ...small, qkv_bias: false }, 'c'));
  expect([...shapes.keys()].filter((name) => name.endsWith('.bias'))).toEqual([]);
});

test('windows in every second layer before max_window_layers, or where layer_types says so', () => {
  const on = { ...small, use_sliding_window: true, sliding_window: 8 };
  const windows = (changes: object) => declaredBy(qwen2Moe({ ...on, ...changes }, 'c')).windows;
  expect(windows({ max_window_layers: 3 })).toEqual([8, undefined, 8, undefined, undefined]);
  const [full, sliding] = ['full_attention', 'sliding_attention'];
  expect(windows({ layer_types: [full, sliding, full, full, sliding] })).toEqual([
    undefined,
    8,
    undefined,
    undefined,
    8,
  ]);
});

test.each([
  [{ shared_expert_intermediate_size: undefined }, /config.json.shared_expert_intermediate_size/],
  [{ intermediate_size: null, decoder_sparse_step: 2 }, /config.json.intermediate_size: is needed where some layers/],
  [{ num_experts: undefined }, /config.json.num_experts: is missing/],
  [{ num_local_experts: 5 }, /config.json.num_local_experts: is 5, but num_experts is 4/],
  [{ use_sliding_window: true, sliding_window: 0 }, /config.json.sliding_window: is 0, but use_sliding_window is true/],
  [{ num_experts: 0 }, /config.json.num_experts/],
  [{ num_experts_per_tok: 5 }, /config.json.num_experts_per_tok: is more than there are experts/],
  [{ layer_types: ['full_attention'] }, /config.json.layer_types: has 1 entries for 5 layers/],
  [{ use_mrope: true }, /config.json.use_mrope: is not supported/],
])('a config with %o is refused', (changes, message) => {
  expect(() => qwen2Moe({ ...small, ...changes }, 'config.json')).toThrow(message);
});
