import { expect, test } from 'vitest';
import { Module } from '../../../checkpoint/parameters.js';
import { declaredBy } from '../../../testing/declared-by.js';
import { InventedParameters } from '../../../testing/run-graph.js';
import { internlm2 } from './internlm2.js';
import { packedProjections } from './packed-projections.js';

const published = {
  architectures: ['InternLM2ForCausalLM'],
  attn_implementation: 'eager',
  auto_map: { AutoConfig: 'configuration_internlm2.InternLM2Config' },
  bias: false,
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: 'silu',
  hidden_size: 4096,
  initializer_range: 0.02,
  intermediate_size: 14336,
  max_position_embeddings: 32768,
  model_type: 'internlm2',
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  pad_token_id: 2,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_scaling: { factor: 2.0, type: 'dynamic' },
  rope_theta: 1000000,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
  transformers_version: '4.41.0',
  use_cache: true,
  vocab_size: 92544,
};

test('takes the config of InternLM2.5 7B as it is published, and finds as many parameters in it as it has', () => {
  const { parameters, shapes } = declaredBy(internlm2(published, 'config.json'));
  expect(parameters).toBe(7_737_708_544);
  expect(shapes.get('model.layers.31.attention.wqkv.weight')).toEqual([6144, 4096]);
  expect(shapes.get('model.layers.31.feed_forward.w2.weight')).toEqual([4096, 14336]);
  expect(shapes.get('output.weight')).toEqual([92544, 4096]);
});

const small = { ...published, hidden_size: 64, intermediate_size: 40, num_attention_heads: 4, num_key_value_heads: 2 };

test('biases of attention, as a config that does not name them has them', () => {
  const { bias: _, ...silent } = small;
  const { shapes } = declaredBy(internlm2(silent, 'c'));
  const first = [...shapes].filter(([name]) => name.startsWith('model.layers.0.') && name.endsWith('.bias'));
  expect(first.toSorted()).toEqual([
    ['model.layers.0.attention.wo.bias', [64]],
    ['model.layers.0.attention.wqkv.bias', [128]],
  ]);
});

test('each projection has its rows of the packed one, group by group', async () => {
  const source = new InventedParameters(1);
  const [headDim, width] = [8, 3];
  const parts = packedProjections(new Module(source).at('wqkv'), { heads: 6, kvHeads: 2, headDim });
  const packed = await source.values('wqkv.weight', 10 * headDim, width);
  const rows = (heads: readonly number[]): number[] =>
    heads.flatMap((head) => [...packed.subarray(head * headDim * width, (head + 1) * headDim * width)]);
  const read = async (module: Module, heads: number) => [
    ...(await module.parameter('weight', [heads * headDim, width]).read()),
  ];
  expect(await read(parts.query, 6)).toEqual(rows([0, 1, 2, 5, 6, 7]));
  expect(await read(parts.key, 2)).toEqual(rows([3, 8]));
  expect(await read(parts.value, 2)).toEqual(rows([4, 9]));
  const bias = await source.values('wqkv.bias', 10 * headDim);
  expect(await parts.key.parameter('bias', [2 * headDim]).read()).toEqual(
    Float32Array.of(...bias.subarray(24, 32), ...bias.subarray(64, 72)),
  );
});

test.each([
  [{ head_dim: 8 }, /config.json.head_dim: is not hidden_size/],
  [{ rope_scaling: { type: 'yarn', factor: 2 } }, /config.json.rope_scaling.rope_type: is yarn; known of the family/],
  [{ rope_scaling: { type: 'dynamic', factor: 0.5 } }, /config.json.rope_scaling.factor/],
  [{ rope_scaling: { type: 'linear' } }, /config.json.rope_scaling.factor/],
  [{ num_key_value_heads: 3 }, /config.json.num_attention_heads: is no multiple of num_key_value_heads/],
  [{ bias: 'qkv' }, /config.json.bias/],
  [{ qkv_bias: true }, /config.json.qkv_bias: is not supported/],
  [{ sliding_window: 8 }, /config.json.sliding_window: is not supported/],
])('a config with %o is refused', (changes, message) => {
  expect(() => internlm2({ ...small, ...changes }, 'config.json')).toThrow(message);
});
