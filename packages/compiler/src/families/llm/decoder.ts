import type { Module } from '../../checkpoint/parameters.js';
import type { Value } from '../../graph/index.js';
import {
  type AttendedLayer,
  type AttentionInputs,
  type AttentionResult,
  causalSelfAttention,
  embedding,
  gatedMlp,
  head,
  type KeyValue,
  linear,
  type Projections,
  preNormAttention,
  rmsNorm,
  rmsNormPerHead,
  rotaryTables,
  tiedHead,
} from '../../layers/index.js';
import type { CausalLm } from '../../stages/causal-lm.js';
import { rotaryAngles } from '../rotary-angles.js';
import { type DecoderConfig, headsOf } from './decoder-fields.js';
import { type DecoderNames, decoderNames } from './decoder-names.js';

/** In what a family differs from the others of LLaMA's kind, but for the feed-forward part of its layers. */
export interface DecoderOptions {
  /** By default decoderNames. */
  readonly names?: DecoderNames;
  /** Which linear layers have biases. */
  readonly bias: { readonly qkv: boolean; readonly output: boolean; readonly mlp: boolean };
  /** Whether each head of queries and keys is normed before it is turned. */
  readonly headNorms: boolean;
  /** How many positions a layer's queries see, their own among them; undefined: all before them. */
  window(layer: number): number | undefined;
  /** Where queries, keys and values are, each a linear layer, in a layer's module; by default where the names say. */
  projections?(module: Module): { readonly query: Module; readonly key: Module; readonly value: Module };
}

/** A decoder whose layers lack their feed-forward parts. */
export interface DecoderParts extends Omit<CausalLm, 'layer' | 'routed'> {
  attend(layer: number, hidden: Value, past: KeyValue, inputs: AttentionInputs, weights: Module): AttendedLayer;
  /** The gated MLP that `module` has: x [..., width] -> [..., width]. */
  mlp(x: Value, module: Module, inner: number): Value;
}

/** RMS norms before attention and feed-forward parts, rotary positions, grouped queries, and gated MLPs for who wants them. */
export function decoderParts(config: DecoderConfig, options: DecoderOptions): DecoderParts {
  const { bias, headNorms, window, names = decoderNames } = options;
  const { hidden_size: width, vocab_size: vocabSize, rms_norm_eps: epsilon } = config;
  const { heads, kvHeads, headDim } = headsOf(config);
  const angles = rotaryAngles(config, headDim);

  function project(x: Value, module: Module): Projections {
    const { query, key, value } = options.projections?.(module) ?? {
      query: module.at(names.query),
      key: module.at(names.key),
      value: module.at(names.value),
    };
    const to = (own: Module, count: number): Value =>
      linear(x, own, { from: width, to: count * headDim, bias: bias.qkv });
    const normed = (projected: Value, name: string, count: number): Value =>
      headNorms ? rmsNormPerHead(projected, module.at(name), { heads: count, headDim, epsilon }) : projected;
    return {
      q: normed(to(query, heads), names.queryNorm, heads),
      k: normed(to(key, kvHeads), names.keyNorm, kvHeads),
      v: to(value, kvHeads),
    };
  }

  function attention(
    layer: number,
    x: Value,
    module: Module,
    past: KeyValue,
    inputs: AttentionInputs,
  ): AttentionResult {
    const output = { module: module.at(names.output), width, bias: bias.output };
    const shape = { heads, kvHeads, headDim, window: window(layer), output };
    return causalSelfAttention(project(x, module), past, inputs, shape);
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
    attend: (layer, hidden, past, inputs, weights) => {
      const module = weights.at(names.layer(layer));
      return preNormAttention(hidden, {
        attentionNorm: (x) => rmsNorm(x, module.at(names.attentionNorm), width, epsilon),
        attention: (x) => attention(layer, x, module, past, inputs),
        mlpNorm: (x) => rmsNorm(x, module.at(names.mlpNorm), width, epsilon),
      });
    },
    mlp: (x, module, inner) => {
      const modules = { gate: module.at(names.gate), up: module.at(names.up), down: module.at(names.down) };
      return gatedMlp(x, modules, { width, inner, activation: config.hidden_act, bias: bias.mlp });
    },
    finalNorm: (hidden, weights) => rmsNorm(hidden, weights.at(names.finalNorm), width, epsilon),
    logits: (rows, weights) =>
      config.tie_word_embeddings
        ? tiedHead(rows, weights.at(names.embedding), vocabSize, width)
        : head(rows, weights.at(names.head), vocabSize, width),
    unread: config.tie_word_embeddings ? [`${names.head}.weight`] : [],
  };
}
