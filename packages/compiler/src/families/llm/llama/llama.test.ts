import { expect, test } from 'vitest';
import { declaredBy } from '../../../testing/declared-by.js';
import { llama } from './llama.js';

const small = {
  vocab_size: 32,
  hidden_size: 48,
  intermediate_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 6,
};

test('takes the config of Llama 2 7B as it is published, and finds as many parameters in it as it has', () => {
  const published = {
    _name_or_path: 'meta-llama/Llama-2-7b-hf',
    architectures: ['LlamaForCausalLM'],
    bos_token_id: 1,
    eos_token_id: 2,
    hidden_act: 'silu',
    hidden_size: 4096,
    initializer_range: 0.02,
    intermediate_size: 11008,
    max_position_embeddings: 4096,
    model_type: 'llama',
    num_attention_heads: 32,
    num_hidden_layers: 32,
    num_key_value_heads: 32,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_scaling: null,
    tie_word_embeddings: false,
    torch_dtype: 'float16',
    transformers_version: '4.31.0.dev0',
    use_cache: true,
    vocab_size: 32000,
  };
  expect(declaredBy(llama(published, 'config.json')).parameters).toBe(6_738_415_616);
});

test('takes the config of Llama 3.2 1B as it is published', () => {
  const published = {
    architectures: ['LlamaForCausalLM'],
    attention_bias: false,
    attention_dropout: 0.0,
    bos_token_id: 128000,
    eos_token_id: [128001, 128008, 128009],
    head_dim: 64,
    hidden_act: 'silu',
    hidden_size: 2048,
    initializer_range: 0.02,
    intermediate_size: 8192,
    max_position_embeddings: 131072,
    mlp_bias: false,
    model_type: 'llama',
    num_attention_heads: 32,
    num_hidden_layers: 16,
    num_key_value_heads: 8,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_scaling: {
      factor: 32.0,
      high_freq_factor: 4.0,
      low_freq_factor: 1.0,
      original_max_position_embeddings: 8192,
      rope_type: 'llama3',
    },
    rope_theta: 500000.0,
    tie_word_embeddings: true,
    torch_dtype: 'bfloat16',
    transformers_version: '4.45.0.dev0',
    use_cache: true,
    vocab_size: 128256,
  };
  const model = llama(published, 'config.json');
  expect(declaredBy(model).parameters).toBe(1_235_814_400);
  expect(model.section).toMatchObject({ kvHeads: 8, headDim: 64, maxPositions: 131072 });
});

test('takes the config of SmolLM2 135M as it is published', () => {
  const published = {
    architectures: ['LlamaForCausalLM'],
    attention_bias: false,
    attention_dropout: 0.0,
    bos_token_id: 1,
    eos_token_id: 2,
    hidden_act: 'silu',
    hidden_size: 576,
    initializer_range: 0.041666666666666664,
    intermediate_size: 1536,
    is_llama_config: true,
    max_position_embeddings: 8192,
    mlp_bias: false,
    model_type: 'llama',
    num_attention_heads: 9,
    num_hidden_layers: 30,
    num_key_value_heads: 3,
    pad_token_id: 2,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_interleaved: false,
    rope_scaling: null,
    rope_theta: 100000,
    tie_word_embeddings: true,
    torch_dtype: 'bfloat16',
    'transformers.js_config': { kv_cache_dtype: { q4f16: 'float16', fp16: 'float16' } },
    transformers_version: '4.42.3',
    use_cache: true,
    vocab_size: 49152,
  };
  expect(declaredBy(llama(published, 'config.json')).parameters).toBe(134_515_008);
});

test('what a config leaves out is what the published code takes', () => {
  const { section } = llama(small, 'config.json');
  expect(section).toMatchObject({ heads: 6, kvHeads: 6, headDim: 8, maxPositions: 2048 });
  const { shapes } = declaredBy(llama(small, 'config.json'));
  expect(shapes.get('lm_head.weight')).toEqual([32, 48]);
  expect([...shapes.keys()].filter((name) => name.endsWith('.bias'))).toEqual([]);
});

test('biases of attention and of the MLP, each where the config says so', () => {
  const biases = (changes: object): string[] => {
    const { shapes } = declaredBy(llama({ ...small, ...changes }, 'config.json'));
    const first = [...shapes.keys()].filter((name) => name.startsWith('model.layers.0.') && name.endsWith('.bias'));
    return first.map((name) => name.split('.').at(-2) as string).sort();
  };
  expect(biases({ attention_bias: true })).toEqual(['k_proj', 'o_proj', 'q_proj', 'v_proj']);
  expect(biases({ mlp_bias: true })).toEqual(['down_proj', 'gate_proj', 'up_proj']);
});

test.each([
  [{ hidden_size: undefined }, /config.json.hidden_size/],
  [{ rope_interleaved: true }, /config.json.rope_interleaved: pairs of neighbours are not supported/],
  [{ num_key_value_heads: 4 }, /config.json.num_attention_heads: is no multiple of num_key_value_heads/],
  [{ hidden_size: 50 }, /config.json.hidden_size: is no multiple of num_attention_heads/],
  [{ hidden_size: 72 }, /config.json.hidden_size: gives heads of size 12; only multiples of 8 are supported/],
  [{ head_dim: 100 }, /config.json.head_dim: gives heads of size 100; only multiples of 8 are supported/],
  [{ head_dim: 2 ** 30 }, /config.json.head_dim: gives heads of size 1073741824; at most 4096 are supported/],
  [
    { max_position_embeddings: 2 ** 31 - 1 },
    /config.json.max_position_embeddings: gives 2147483647 positions, each with its angles in a table; at most 16777216/,
  ],
  [
    { max_position_embeddings: 2 ** 20, rope_scaling: { type: 'yarn', factor: 32 } },
    /config.json.max_position_embeddings: gives 33554432 positions/,
  ],
  [{ hidden_act: 'swish2' }, /config.json.hidden_act/],
  [{ sliding_window: 64 }, /config.json.sliding_window: is not supported/],
  [{ rope_scaling: { type: 'longrope' } }, /config.json.rope_scaling.rope_type: is not supported/],
  [{ quantization_config: { quant_method: 'gptq' } }, /config.json.quantization_config: is not supported/],
])('a config with %o is refused', (changes, message) => {
  expect(() => llama({ ...small, ...changes }, 'config.json')).toThrow(message);
});
