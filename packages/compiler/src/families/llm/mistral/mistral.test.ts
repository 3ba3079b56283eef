import { expect, test } from 'vitest';
import { declaredBy } from '../../../testing/declared-by.js';
import { mistral } from './mistral.js';

const published = {
  architectures: ['MistralForCausalLM'],
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: 'silu',
  hidden_size: 4096,
  initializer_range: 0.02,
  intermediate_size: 14336,
  max_position_embeddings: 32768,
  model_type: 'mistral',
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-5,
  rope_theta: 10000.0,
  sliding_window: 4096,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.34.0.dev0',
  use_cache: true,
  vocab_size: 32000,
};

test('takes the config of Mistral 7B v0.1 as it is published: as many parameters as it has, a window in every layer', () => {
  const { parameters, windows } = declaredBy(mistral(published, 'config.json'));
  expect(parameters).toBe(7_241_732_096);
  expect(windows).toEqual(new Array(32).fill(4096));
});

test('null is no window, as from v0.2 on; a config that says nothing has the one of the published code', () => {
  const { sliding_window: _, ...silent } = published;
  expect(declaredBy(mistral({ ...published, sliding_window: null }, 'c')).windows).toEqual(
    new Array(32).fill(undefined),
  );
  expect(declaredBy(mistral(silent, 'c')).windows).toEqual(new Array(32).fill(4096));
});

test.each([
  [{ layer_types: ['sliding_attention'] }, /config.json.layer_types: is not supported/],
  [{ sliding_window: 0 }, /config.json.sliding_window/],
  [{ attention_bias: true }, /config.json.attention_bias: is not supported/],
])('a config with %o is refused', (changes, message) => {
  expect(() => mistral({ ...published, ...changes }, 'config.json')).toThrow(message);
});
