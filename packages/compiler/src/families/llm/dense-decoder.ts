import type { Module } from '../../checkpoint/parameters.js';
import type { Value } from '../../graph/index.js';
import {
  type AttentionInputs,
  type AttentionResult,
  causalSelfAttention,
  embedding,
  gatedMlp,
  head,
  type KeyValue,
  linear,
  preNormLayer,
  rmsNorm,
  rmsNormPerHead,
  rotaryTables,
  tiedHead,
} from '../../layers/index.js';
import type { CausalLm } from '../../stages/causal-lm.js';
import { rotaryAngles } from '../rotary-angles.js';
import { type DecoderConfig, headsOf } from './decoder-fields.js';
import { decoderNames as names } from './decoder-names.js';

/** In what a family differs from the others of LLaMA's kind. */
export interface DenseDecoderOptions {
  /** Which linear layers have biases. */
  readonly bias: { readonly qkv: boolean; readonly output: boolean; readonly mlp: boolean };
  /** Whether each head of queries and keys is normed before it is turned. */
  readonly headNorms: boolean;
  /** How many positions a layer's queries see, their own among them; undefined: all before them. */
  window(layer: number): number | undefined;
}

/** The pieces of a dense decoder: RMS norms before attention and a gated MLP, rotary positions, grouped queries. */
export function denseDecoder(config: DecoderConfig, { bias, headNorms, window }: DenseDecoderOptions): CausalLm {
  const { hidden_size: width, vocab_size: vocabSize, rms_norm_eps: epsilon } = config;
  const { heads, kvHeads, headDim } = headsOf(config);
  const angles = rotaryAngles(config, headDim);

  function attention(
    layer: number,
    x: Value,
    module: Module,
    past: KeyValue,
    inputs: AttentionInputs,
  ): AttentionResult {
    const project = (name: string, count: number): Value =>
      linear(x, module.at(name), { from: width, to: count * headDim, bias: bias.qkv });
    const normed = (value: Value, name: string, count: number): Value =>
      headNorms ? rmsNormPerHead(value, module.at(name), { heads: count, headDim, epsilon }) : value;
    const projections = {
      q: normed(project(names.query, heads), names.queryNorm, heads),
      k: normed(project(names.key, kvHeads), names.keyNorm, kvHeads),
      v: project(names.value, kvHeads),
    };
    const output = { module: module.at(names.output), width, bias: bias.output };
    return causalSelfAttention(projections, past, inputs, { heads, kvHeads, headDim, window: window(layer), output });
  }

  function mlp(x: Value, module: Module): Value {
    const modules = { gate: module.at(names.gate), up: module.at(names.up), down: module.at(names.down) };
    const { intermediate_size: inner, hidden_act: activation } = config;
    return gatedMlp(x, modules, { width, inner, activation, bias: bias.mlp });
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
    layer: (index, hidden, past, inputs, weights) => {
      const module = weights.at(names.layer(index));
      return preNormLayer(hidden, {
        attentionNorm: (x) => rmsNorm(x, module.at(names.attentionNorm), width, epsilon),
        attention: (x) => attention(index, x, module, past, inputs),
        mlpNorm: (x) => rmsNorm(x, module.at(names.mlpNorm), width, epsilon),
        mlp: (x) => mlp(x, module.at(names.mlp)),
      });
    },
    finalNorm: (hidden, weights) => rmsNorm(hidden, weights.at(names.finalNorm), width, epsilon),
    logits: (rows, weights) =>
      config.tie_word_embeddings
        ? tiedHead(rows, weights.at(names.embedding), vocabSize, width)
        : head(rows, weights.at(names.head), vocabSize, width),
  };
}
