import { z } from 'zod';
import type { ParameterSource } from '../checkpoint/parameters.js';
import { ofNoMatter, parseConfig, pieces, positive } from '../config.js';
import type { ModelPlan } from './model-plan.js';

const qwenVlConfig = z.object({
  hidden_size: positive,
  /** Twice the width of the MLP: the published code halves it. */
  intermediate_size: positive.multipleOf(2),
  num_hidden_layers: pieces,
  vocab_size: positive,
  kv_channels: positive,
  num_attention_heads: positive,
  no_bias: z.boolean().default(true),
  tie_word_embeddings: z.literal(false, 'a head that is tied to the embedding is not supported').default(false),
  visual: z.object({
    width: positive,
    layers: pieces,
    heads: positive,
    mlp_ratio: z.number().positive(),
    patch_size: positive,
    image_size: ofNoMatter,
    output_dim: positive,
    n_queries: positive.default(256),
  }),
});

/** Positions of the vision tower's embedding: of 16 x 16 patches, whatever the pictures' size. The published code resamples them. */
const storedPositions = 256;

type Declare = (name: string, ...shape: number[]) => void;

function declareUnder(source: ParameterSource, prefix: string): Declare {
  return (name, ...shape) => void source.parameter(`${prefix}${name}`, shape);
}

function declareNorm(declare: Declare, name: string, width: number): void {
  declare(`${name}.weight`, width);
  declare(`${name}.bias`, width);
}

function declareLinear(declare: Declare, name: string, from: number, to: number): void {
  declare(`${name}.weight`, to, from);
  declare(`${name}.bias`, to);
}

/**
 * Qwen-VL (Bai et al. 2023): a ViT, a resampler of learned queries, and Qwen. Its parameters are known, so that it can
 * be inspected; its graphs are not written yet.
 */
export function qwenVl(config: unknown): ModelPlan {
  const options = parseConfig(qwenVlConfig, config, 'config.json');
  const { visual, hidden_size: hidden } = options;

  function encoder(source: ParameterSource): void {
    const { width, patch_size: patch, layers } = visual;
    const inner = Math.floor(width * visual.mlp_ratio);
    const declare = declareUnder(source, 'transformer.visual.');
    declare('conv1.weight', width, 3, patch, patch);
    declare('positional_embedding', storedPositions, width);
    declareNorm(declare, 'ln_pre', width);
    for (let layer = 0; layer < layers; layer++) {
      const block = declareUnder(source, `transformer.visual.transformer.resblocks.${layer}.`);
      declareNorm(block, 'ln_1', width);
      declareLinear(block, 'attn.in_proj', width, 3 * width);
      declareLinear(block, 'attn.out_proj', width, width);
      declareNorm(block, 'ln_2', width);
      declareLinear(block, 'mlp.c_fc', width, inner);
      declareLinear(block, 'mlp.c_proj', inner, width);
    }
  }

  function connector(source: ParameterSource): void {
    const { width, output_dim: out, n_queries: queries } = visual;
    const declare = declareUnder(source, 'transformer.visual.attn_pool.');
    declare('pos_embed', queries, out);
    declare('query', queries, out);
    declare('kv_proj.weight', out, width);
    declare('attn.in_proj_weight', 3 * out, out);
    declare('attn.in_proj_bias', 3 * out);
    declareLinear(declare, 'attn.out_proj', out, out);
    declareNorm(declare, 'ln_q', out);
    declareNorm(declare, 'ln_kv', out);
    const after = declareUnder(source, 'transformer.visual.');
    declareNorm(after, 'ln_post', out);
    after('proj', out, out);
  }

  function llm(source: ParameterSource): void {
    const attention = options.kv_channels * options.num_attention_heads;
    const inner = options.intermediate_size / 2;
    const declare = declareUnder(source, 'transformer.');
    declare('wte.weight', options.vocab_size, hidden);
    for (let layer = 0; layer < options.num_hidden_layers; layer++) {
      const block = declareUnder(source, `transformer.h.${layer}.`);
      block('ln_1.weight', hidden);
      // Query, key and value in one matrix; it has a bias even where no_bias says that the others have none.
      declareLinear(block, 'attn.c_attn', hidden, 3 * attention);
      block('attn.c_proj.weight', hidden, attention);
      block('ln_2.weight', hidden);
      block('mlp.w1.weight', inner, hidden);
      block('mlp.w2.weight', inner, hidden);
      block('mlp.c_proj.weight', hidden, inner);
      if (options.no_bias) continue;
      block('attn.c_proj.bias', hidden);
      block('mlp.w1.bias', inner);
      block('mlp.w2.bias', inner);
      block('mlp.c_proj.bias', hidden);
    }
    declare('ln_f.weight', hidden);
    declareUnder(source, '')('lm_head.weight', options.vocab_size, hidden);
  }

  return { modelType: 'qwen', declare: { encoder, connector, llm }, tokens: {}, eosTokenIds: [], unread: [] };
}
