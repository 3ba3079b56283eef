import { readFile } from 'node:fs/promises';
import { elementCount, type Float32Tensor, type Tensor, tensor } from '@tessera/protocol';
import { demoModelDir } from '@tessera/testing/demo-model/files';
import { goldenCases } from '@tessera/testing/demo-model/goldens';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Checkpoint } from '../../../checkpoint/checkpoint.js';
import { DeclaredParameters, Module } from '../../../checkpoint/parameters.js';
import { GraphBuilder, type Value } from '../../../graph/index.js';
import type { AttentionInputs } from '../../../layers/index.js';
import { type CausalLm, causalLmGraph } from '../../../stages/causal-lm.js';
import { declaredBy } from '../../../testing/declared-by.js';
import { openGoldens } from '../../../testing/demo-model.js';
import { loadedWeights } from '../../../testing/loaded-weights.js';
import { runGraph } from '../../../testing/run-graph.js';
import { qwen3Moe } from './qwen3-moe.js';

let checkpoint: Checkpoint;
let weights: Module;
let config: Record<string, unknown>;
let model: CausalLm;

beforeAll(async () => {
  config = JSON.parse(await readFile(`${demoModelDir}/config.json`, 'utf8')).text_config;
  checkpoint = await Checkpoint.open(demoModelDir);
  weights = new Module(checkpoint).at('language_model');
  model = qwen3Moe(config, 'text_config');
});

afterAll(() => checkpoint.close());

/** A graph that holds some of the model's layers, between hidden states. */
function shard(
  from: number,
  to: number,
  start: (g: GraphBuilder) => Value,
  end: (hidden: Value) => Value,
): GraphBuilder {
  const g = new GraphBuilder('shard', 'float32');
  let hidden = start(g);
  const attention: AttentionInputs = {
    positions: g.input('position_ids', 'int64', [1, 'seq']),
    lastPositions: g.input('seqlens_k', 'int32', [1]),
    totalLength: g.input('total_sequence_length', 'int32', [1]),
    tables: model.rotaryTables(g),
    cacheType: 'float32',
  };
  const shape = [1, model.section.kvHeads, 'capacity', model.section.headDim];
  for (let layer = from; layer < to; layer++) {
    const past = {
      key: g.input(`past_key.${layer}`, 'float32', shape),
      value: g.input(`past_value.${layer}`, 'float32', shape),
    };
    hidden = model.layer(layer, hidden, past, attention, weights).hidden;
  }
  g.output('hidden', end(hidden), 'float32', [1, 'seq', model.section.hiddenSize]);
  return g;
}

test('the model cut between two layers, in two graphs, gives what the whole gives', async () => {
  const one = goldenCases.find(({ image }) => !image);
  const ids = one?.input_ids ?? [];
  const seq = ids.length;
  const reference = await openGoldens();
  const expected = await reference.read(`${one?.id}.hidden`);
  await reference.close();
  const empty = tensor('float32', [1, model.section.kvHeads, 0, model.section.headDim], new Float32Array(0));
  const feeds = (from: number, to: number, input: Record<string, Tensor>): Record<string, Tensor> => ({
    ...input,
    position_ids: tensor(
      'int64',
      [1, seq],
      BigInt64Array.from(ids, (_, i) => BigInt(i)),
    ),
    seqlens_k: tensor('int32', [1], Int32Array.of(seq - 1)),
    total_sequence_length: tensor('int32', [1], Int32Array.of(seq)),
    ...Object.fromEntries(
      Array.from({ length: to - from }, (_, i) => from + i).flatMap((layer) => [
        [`past_key.${layer}`, empty],
        [`past_value.${layer}`, empty],
      ]),
    ),
  });
  const cut = 2;
  const first = shard(
    0,
    cut,
    (g) => model.embed(g.input('input_ids', 'int64', [1, 'seq']), weights),
    (hidden) => hidden,
  );
  const second = shard(
    cut,
    model.section.layers,
    (g) => g.input('hidden_in', 'float32', [1, 'seq', model.section.hiddenSize]),
    (hidden) => model.finalNorm(hidden, weights),
  );
  const input = { input_ids: tensor('int64', [1, seq], BigInt64Array.from(ids, BigInt)) };
  const [between] = (await runGraph(first, 'hidden', [feeds(0, cut, input)])) as [Float32Tensor];
  const [result] = (await runGraph(second, 'hidden', [feeds(cut, model.section.layers, { hidden_in: between })])) as [
    Float32Tensor,
  ];
  expect(relativeErrors(result.data, expected).max).toBeLessThan(2e-3);
});

test('one expert in a graph of its own, for any number of rows, none among them', async () => {
  const g = new GraphBuilder('expert', 'int8');
  const rows = g.input('rows', 'float32', ['n', model.section.hiddenSize]);
  const answer = model.routed?.expert(3, 5, rows, weights) as Value;
  g.output('answer', answer, 'float32', ['n', model.section.hiddenSize]);
  const values = Float32Array.from({ length: 3 * model.section.hiddenSize }, (_, i) => Math.sin(i));
  const [three, last, none] = (await runGraph(g, 'answer', [
    { rows: tensor('float32', [3, model.section.hiddenSize], values) },
    { rows: tensor('float32', [1, model.section.hiddenSize], values.slice(2 * model.section.hiddenSize)) },
    { rows: tensor('float32', [0, model.section.hiddenSize], new Float32Array(0)) },
  ])) as [Float32Tensor, Float32Tensor, Float32Tensor];
  expect(relativeErrors(last.data, three.data.slice(2 * model.section.hiddenSize)).max).toBeLessThan(1e-4);
  expect(none.shape).toEqual([0, model.section.hiddenSize]);
  const needed = g.weights.flatMap(({ tensors }) => tensors.map(({ value }) => value.name));
  expect(needed.every((name) => name.startsWith('language_model.model.layers.3.mlp.experts.5.'))).toBe(true);
});

test('layers without experts, a head of its own and biases, where the config says so', () => {
  const changed = { mlp_only_layers: [1], intermediate_size: 640, tie_word_embeddings: false, attention_bias: true };
  const source = new DeclaredParameters();
  causalLmGraph(qwen3Moe({ ...config, ...changed }, 'config.json'), new Module(source), 'float32');
  expect(source.declared.get('model.layers.1.mlp.up_proj.weight')).toEqual([640, 256]);
  expect(source.declared.has('model.layers.1.mlp.gate.weight')).toBe(false);
  expect(source.declared.has('model.layers.2.mlp.gate.weight')).toBe(true);
  expect(source.declared.get('lm_head.weight')).toEqual([2048, 256]);
  expect(source.declared.get('model.layers.0.self_attn.k_proj.bias')).toEqual([128]);
});

test.each([
  [{ intermediate_size: undefined, mlp_only_layers: [0] }, /config.json.intermediate_size/],
  [
    { rope_scaling: { type: 'longrope', factor: 4 } },
    /config.json.rope_scaling.rope_type: is not supported; known are default, linear, dynamic, llama3, yarn/,
  ],
  [{ use_sliding_window: 'all' }, /config.json.use_sliding_window/],
  [{ use_qk_norm: false }, /config.json.use_qk_norm: attention without norms/],
  [{ shared_expert_intermediate_size: 512 }, /config.json.shared_expert_intermediate_size: shared experts/],
  [{ layer_types: ['sliding_attention'] }, /config.json.layer_types: is not supported/],
  [{ attention_bias: 'qkv' }, /config.json.attention_bias/],
  [{ norm_topk_prob: 1 }, /config.json.norm_topk_prob/],
  [{ hidden_act: 'swish2' }, /config.json.hidden_act/],
  [{ num_experts: 0 }, /config.json.num_experts/],
  [{ num_experts: 2, num_experts_per_tok: 3 }, /config.json.num_experts_per_tok/],
  [{ num_attention_heads: 3 }, /config.json.num_attention_heads/],
])('a config with %o is refused', (changes, message) => {
  expect(() => qwen3Moe({ ...config, ...changes }, 'config.json')).toThrow(message);
});

test('a window in every layer, where the config turns it on', () => {
  const windows = (changes: object) => declaredBy(qwen3Moe({ ...config, ...changes }, 'c')).windows;
  expect(windows({ use_sliding_window: true, sliding_window: 8 })).toEqual(new Array(6).fill(8));
  expect(windows({ use_sliding_window: true, sliding_window: null })).toEqual(new Array(6).fill(undefined));
  expect(windows({ use_sliding_window: false, sliding_window: 8 })).toEqual(new Array(6).fill(undefined));
});

test('what a config says of itself, as some files do, is taken where it is so', () => {
  expect(() => qwen3Moe({ ...config, use_qk_norm: true, shared_expert_intermediate_size: 0 }, 'c')).not.toThrow();
});

test('rotary embedding as transformers 5 describes it gives the graph that it gave before', async () => {
  const tables = async (changes: Record<string, unknown>): Promise<unknown[]> => {
    const g = new GraphBuilder('tables', 'float32');
    qwen3Moe({ ...config, ...changes }, 'config.json').rotaryTables(g);
    return Promise.all(g.weights.map(loadedWeights));
  };
  const before = await tables({ rope_theta: 5000 });
  const parameters = { rope_type: 'default', rope_theta: 5000 };
  expect(await tables({ rope_theta: undefined, rope_parameters: parameters })).toEqual(before);
  expect(await tables({ rope_theta: 5000, rope_scaling: null, rope_parameters: parameters })).toEqual(before);
  expect(await tables({})).not.toEqual(before);
});

test('takes the config of Qwen3-30B-A3B as it is published, and finds as many parameters in it as it has', () => {
  const published = {
    architectures: ['Qwen3MoeForCausalLM'],
    attention_bias: false,
    attention_dropout: 0.0,
    bos_token_id: 151643,
    decoder_sparse_step: 1,
    eos_token_id: 151645,
    head_dim: 128,
    hidden_act: 'silu',
    hidden_size: 2048,
    initializer_range: 0.02,
    intermediate_size: 6144,
    max_position_embeddings: 40960,
    max_window_layers: 48,
    mlp_only_layers: [],
    model_type: 'qwen3_moe',
    moe_intermediate_size: 768,
    norm_topk_prob: true,
    num_attention_heads: 32,
    num_experts: 128,
    num_experts_per_tok: 8,
    num_hidden_layers: 48,
    num_key_value_heads: 4,
    output_router_logits: false,
    rms_norm_eps: 1e-6,
    rope_scaling: null,
    rope_theta: 1000000.0,
    router_aux_loss_coef: 0.001,
    sliding_window: null,
    tie_word_embeddings: false,
    torch_dtype: 'bfloat16',
    transformers_version: '4.51.0',
    use_cache: true,
    use_sliding_window: false,
    vocab_size: 151936,
  };
  const source = new DeclaredParameters();
  causalLmGraph(qwen3Moe(published, 'config.json'), new Module(source), 'float32');
  const parameters = [...source.declared.values()].reduce((sum, shape) => sum + elementCount(shape), 0);
  expect(parameters).toBe(30_532_122_624);
});
