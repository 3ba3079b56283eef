import type { Module } from '../../../checkpoint/parameters.js';
import type { Value } from '../../../graph/index.js';
import {
  type AttentionInputs,
  type AttentionResult,
  causalSelfAttention,
  type DecoderLayerParts,
  embedding,
  gatedMlp,
  head,
  type KeyValue,
  linear,
  preNormAttention,
  preNormLayer,
  rmsNorm,
  rmsNormPerHead,
  rotaryTables,
  routeRows,
  sparseMlp,
  tiedHead,
} from '../../../layers/index.js';
import type { CausalLm } from '../../../stages/causal-lm.js';
import { type Family, family } from '../../family.js';
import { rotaryAngles } from '../../rotary-angles.js';
import { type Qwen3MoeConfig, qwen3MoeConfig } from './config.js';
import { names } from './tensor-names.js';

function pieces(config: Qwen3MoeConfig): CausalLm {
  const { hidden_size: width, num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim } = config;
  const { rms_norm_eps: epsilon, hidden_act: activation, attention_bias: bias, vocab_size: vocabSize } = config;
  const angles = rotaryAngles(config, headDim);

  function attention(x: Value, module: Module, past: KeyValue, inputs: AttentionInputs): AttentionResult {
    const toHeads = { from: width, to: heads * headDim, bias };
    const toKvHeads = { from: width, to: kvHeads * headDim, bias };
    const q = linear(x, module.at(names.query), toHeads);
    const normedQ = rmsNormPerHead(q, module.at(names.queryNorm), { heads, headDim, epsilon });
    const k = linear(x, module.at(names.key), toKvHeads);
    const normedK = rmsNormPerHead(k, module.at(names.keyNorm), { heads: kvHeads, headDim, epsilon });
    const v = linear(x, module.at(names.value), toKvHeads);
    const output = { module: module.at(names.output), width, bias };
    return causalSelfAttention({ q: normedQ, k: normedK, v }, past, inputs, { heads, kvHeads, headDim, output });
  }

  function mlp(x: Value, module: Module, inner: number): Value {
    const modules = { gate: module.at(names.gate), up: module.at(names.up), down: module.at(names.down) };
    return gatedMlp(x, modules, { width, inner, activation });
  }

  function expert(layer: number, index: number, rows: Value, weights: Module): Value {
    return mlp(rows, weights.at(names.layer(layer)).at(names.expert(index)), config.moe_intermediate_size);
  }

  function hasExperts(layer: number): boolean {
    return !config.mlp_only_layers.includes(layer) && (layer + 1) % config.decoder_sparse_step === 0;
  }

  const routed = {
    experts: config.num_experts,
    chosen: config.num_experts_per_tok,
    width,
    normalize: config.norm_topk_prob,
  };

  function feedForward(layer: number, x: Value, weights: Module): Value {
    const module = weights.at(names.layer(layer));
    if (!hasExperts(layer)) return mlp(x, module.at(names.mlp), config.intermediate_size as number);
    return sparseMlp(x, module.at(names.router), (index, rows) => expert(layer, index, rows, weights), routed);
  }

  function firstHalf(module: Module, past: KeyValue, inputs: AttentionInputs): Omit<DecoderLayerParts, 'mlp'> {
    return {
      attentionNorm: (x) => rmsNorm(x, module.at(names.attentionNorm), width, epsilon),
      attention: (x) => attention(x, module, past, inputs),
      mlpNorm: (x) => rmsNorm(x, module.at(names.mlpNorm), width, epsilon),
    };
  }

  return {
    section: {
      layers: config.num_hidden_layers,
      hiddenSize: width,
      heads,
      kvHeads,
      headDim,
      vocabSize,
      maxPositions: angles.positions,
    },
    embed: (ids, weights) => embedding(ids, weights.at(names.embedding), vocabSize, width),
    rotaryTables: (g) => rotaryTables(g, angles),
    layer: (index, hidden, past, inputs, weights) =>
      preNormLayer(hidden, {
        ...firstHalf(weights.at(names.layer(index)), past, inputs),
        mlp: (x) => feedForward(index, x, weights),
      }),
    routed: {
      experts: config.num_experts,
      chosen: config.num_experts_per_tok,
      layers: Array.from({ length: config.num_hidden_layers }, (_, layer) => layer).filter(hasExperts),
      attend: (layer, hidden, past, inputs, weights) =>
        preNormAttention(hidden, firstHalf(weights.at(names.layer(layer)), past, inputs)),
      route: (layer, normed, weights) => routeRows(normed, weights.at(names.layer(layer)).at(names.router), routed),
      expert,
    },
    finalNorm: (hidden, weights) => rmsNorm(hidden, weights.at(names.finalNorm), width, epsilon),
    logits: (rows, weights) =>
      config.tie_word_embeddings
        ? tiedHead(rows, weights.at(names.embedding), vocabSize, width)
        : head(rows, weights.at(names.head), vocabSize, width),
  };
}

/** Qwen3 with mixture-of-experts layers, as Hugging Face's Qwen3MoeForCausalLM. */
export const qwen3Moe: Family<CausalLm> = family(qwen3MoeConfig, pieces);
