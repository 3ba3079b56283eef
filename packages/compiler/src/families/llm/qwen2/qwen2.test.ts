import { expect, test } from 'vitest';
import { declaredBy } from '../../../testing/declared-by.js';
import { qwen2 } from './qwen2.js';

const published = {
  architectures: ['Qwen2ForCausalLM'],
  attention_dropout: 0.0,
  bos_token_id: 151643,
  eos_token_id: 151645,
  hidden_act: 'silu',
  hidden_size: 896,
  initializer_range: 0.02,
  intermediate_size: 4864,
  max_position_embeddings: 32768,
  max_window_layers: 21,
  model_type: 'qwen2',
  num_attention_heads: 14,
  num_hidden_layers: 24,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000.0,
  sliding_window: 32768,
  tie_word_embeddings: true,
  torch_dtype: 'bfloat16',
  transformers_version: '4.43.1',
  use_cache: true,
  use_sliding_window: false,
  vocab_size: 151936,
};

test('takes the config of Qwen2.5 0.5B as it is published, and finds as many parameters in it as it has', () => {
  const { parameters, shapes, windows } = declaredBy(qwen2(published, 'config.json'));
  expect(parameters).toBe(494_032_768);
  expect(shapes.get('model.layers.3.self_attn.k_proj.bias')).toEqual([128]);
  expect(shapes.has('model.layers.3.self_attn.o_proj.bias')).toBe(false);
  expect(windows).toEqual(new Array(24).fill(undefined));
});

const full = 'full_attention';
const sliding = 'sliding_attention';
const four = { ...published, num_hidden_layers: 4 };
const windows = (changes: object) => declaredBy(qwen2({ ...four, ...changes }, 'config.json')).windows;

test('windows from max_window_layers on, or where layer_types says so', () => {
  const on = { use_sliding_window: true, sliding_window: 8 };
  expect(windows({ ...on, max_window_layers: 1 })).toEqual([undefined, 8, 8, 8]);
  expect(windows({ ...on, max_window_layers: 4 })).toEqual([undefined, undefined, undefined, undefined]);
  expect(windows({ ...on, layer_types: [sliding, full, sliding, full] })).toEqual([8, undefined, 8, undefined]);
  expect(windows({ layer_types: [full, full, full, full] })).toEqual([undefined, undefined, undefined, undefined]);
  expect(windows({ use_sliding_window: true, sliding_window: null })).toEqual(new Array(4).fill(undefined));
});

test('YaRN, as its card tells to add it, reaches as far as it says', () => {
  const rope_scaling = { factor: 4.0, original_max_position_embeddings: 32768, type: 'yarn' };
  expect(qwen2({ ...published, rope_scaling }, 'config.json').section.maxPositions).toBe(131072);
});

test.each([
  [{ layer_types: [full] }, /config.json.layer_types: has 1 entries for 4 layers/],
  [{ layer_types: [full, full, full, sliding] }, /config.json.layer_types: has sliding_attention, but/],
  [{ layer_types: [full, full, full, 'chunked_attention'] }, /config.json.layer_types.3: is not supported/],
  [{ use_mrope: true }, /config.json.use_mrope: is not supported/],
])('a config with %o is refused', (changes, message) => {
  expect(() => qwen2({ ...four, ...changes }, 'config.json')).toThrow(message);
});
