import { z } from 'zod';
import type { Module } from '../checkpoint/parameters.js';
import { parseConfig, pieces, positive } from '../config.js';
import {
  activationName,
  add,
  embedding,
  groupQueryAttention,
  linear,
  reshape,
  reshapeLike,
  rmsNorm,
  rotary,
  tiedHead,
  transpose,
  type Value,
} from '../graph/index.js';
import { gatedMlp } from '../layers/gated-mlp.js';
import { mixtureOfExperts } from '../layers/mixture-of-experts.js';
import { rotaryTables } from '../layers/rotary-tables.js';
import type { AttentionInputs, KeyValue, LanguageModel, LayerResult } from './causal-lm.js';

const qwen3MoeConfig = z
  .object({
    vocab_size: positive,
    hidden_size: positive,
    intermediate_size: positive.optional(),
    num_hidden_layers: pieces,
    num_attention_heads: positive,
    num_key_value_heads: positive,
    head_dim: positive.multipleOf(2),
    num_experts: pieces,
    num_experts_per_tok: positive,
    moe_intermediate_size: positive,
    norm_topk_prob: z.boolean(),
    decoder_sparse_step: positive.default(1),
    mlp_only_layers: z.array(z.number().int().nonnegative()).default([]),
    rope_theta: z.number().positive(),
    rope_scaling: z.null('scaled rotary embeddings are not supported').optional(),
    use_sliding_window: z.literal(false, 'sliding windows are not supported').optional(),
    rms_norm_eps: z.number().positive(),
    hidden_act: activationName,
    attention_bias: z.boolean().default(false),
    tie_word_embeddings: z.boolean().default(false),
    max_position_embeddings: positive,
  })
  .refine(
    (config) => (config.mlp_only_layers.length === 0 && config.decoder_sparse_step === 1) || config.intermediate_size,
    { path: ['intermediate_size'], error: 'is needed where some layers have no experts' },
  )
  .refine((config) => config.num_experts_per_tok <= config.num_experts, {
    path: ['num_experts_per_tok'],
    error: 'is more than there are experts',
  })
  .refine((config) => config.num_attention_heads % config.num_key_value_heads === 0, {
    path: ['num_attention_heads'],
    error: 'is no multiple of num_key_value_heads',
  });

/** Qwen3 with mixture-of-experts layers, as Hugging Face's Qwen3MoeForCausalLM. */
export function qwen3Moe(config: unknown, where: string): LanguageModel {
  const options = parseConfig(qwen3MoeConfig, config, where);
  const { hidden_size: width, num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim } = options;
  const { rms_norm_eps: epsilon, hidden_act: activation, attention_bias: bias, vocab_size: vocabSize } = options;
  const layerModule = (weights: Module, layer: number): Module => weights.at(`model.layers.${layer}`);

  /** Splits [batch, seq, count * headDim] into heads and norms each. */
  function headNorm(x: Value, module: Module, count: number): Value {
    const normed = rmsNorm(reshape(x, [0, 0, count, headDim]), module, headDim, epsilon);
    return reshape(normed, [0, 0, count * headDim]);
  }

  /** [batch, seq, kvHeads * headDim] as the cache lies: [batch, kvHeads, seq, headDim]. */
  function cacheRows(x: Value): Value {
    return transpose(reshape(x, [0, 0, kvHeads, headDim]), [0, 2, 1, 3]);
  }

  function attend(x: Value, module: Module, past: KeyValue, inputs: AttentionInputs) {
    const toHeads = { from: width, to: heads * headDim, bias };
    const toKvHeads = { from: width, to: kvHeads * headDim, bias };
    const q = headNorm(linear(x, module.at('q_proj'), toHeads), module.at('q_norm'), heads);
    const k = headNorm(linear(x, module.at('k_proj'), toKvHeads), module.at('k_norm'), kvHeads);
    const v = linear(x, module.at('v_proj'), toKvHeads);
    const turnedKey = rotary(k, inputs.positions, inputs.tables, kvHeads);
    const { output, presentKey, presentValue } = groupQueryAttention({
      q: rotary(q, inputs.positions, inputs.tables, heads),
      k: turnedKey,
      v,
      pastKey: past.key,
      pastValue: past.value,
      lastPositions: inputs.lastPositions,
      totalLength: inputs.totalLength,
      heads,
      kvHeads,
    });
    return {
      output: linear(output, module.at('o_proj'), { from: heads * headDim, to: width, bias }),
      fresh: { key: cacheRows(turnedKey), value: cacheRows(v) },
      present: { key: presentKey, value: presentValue },
    };
  }

  function hasExperts(layer: number): boolean {
    return !options.mlp_only_layers.includes(layer) && (layer + 1) % options.decoder_sparse_step === 0;
  }

  function expert(layer: number, index: number, rows: Value, weights: Module): Value {
    const inner = options.moe_intermediate_size;
    return gatedMlp(rows, layerModule(weights, layer).at(`mlp.experts.${index}`), { width, inner, activation });
  }

  function feedForward(layer: number, x: Value, weights: Module): Value {
    const module = layerModule(weights, layer).at('mlp');
    if (!hasExperts(layer)) {
      return gatedMlp(x, module, { width, inner: options.intermediate_size as number, activation });
    }
    const rows = reshape(x, [-1, width]);
    // Rounded router weights would send rows to other experts, for a saving of next to nothing.
    const router = { from: width, to: options.num_experts, bias: false, precision: 'float32' } as const;
    const scores = linear(rows, module.at('gate'), router);
    const mixed = mixtureOfExperts(rows, scores, (index, chosen) => expert(layer, index, chosen, weights), {
      experts: options.num_experts,
      chosen: options.num_experts_per_tok,
      width,
      normalize: options.norm_topk_prob,
    });
    return reshapeLike(mixed, x);
  }

  function layer(index: number, x: Value, past: KeyValue, inputs: AttentionInputs, weights: Module): LayerResult {
    const module = layerModule(weights, index);
    const attended = x.graph.scope('attention', () =>
      attend(rmsNorm(x, module.at('input_layernorm'), width, epsilon), module.at('self_attn'), past, inputs),
    );
    const residual = add(x, attended.output);
    const hidden = x.graph.scope('mlp', () =>
      add(
        residual,
        feedForward(index, rmsNorm(residual, module.at('post_attention_layernorm'), width, epsilon), weights),
      ),
    );
    return { hidden, fresh: attended.fresh, present: attended.present };
  }

  return {
    layers: options.num_hidden_layers,
    hiddenSize: width,
    heads,
    kvHeads,
    headDim,
    vocabSize,
    maxPositions: options.max_position_embeddings,
    embed: (ids, weights) => embedding(ids, weights.at('model.embed_tokens'), vocabSize, width),
    rotaryTables: (g) =>
      rotaryTables(g, { positions: options.max_position_embeddings, headDim, theta: options.rope_theta }),
    layer,
    expert,
    finalNorm: (hidden, weights) => rmsNorm(hidden, weights.at('model.norm'), width, epsilon),
    logits: (rows, weights) =>
      options.tie_word_embeddings
        ? tiedHead(rows, weights.at('model.embed_tokens'), vocabSize, width)
        : linear(rows, weights.at('lm_head'), { from: width, to: vocabSize, bias: false }),
  };
}
