import { z } from 'zod';
import { ofNoMatter, pieces, positive } from '../../config.js';
import { activationName, headDimStep } from '../../layers/index.js';
import { pretrainedFields } from '../pretrained-fields.js';
import { oneRope, ropeFields } from '../rope-fields.js';
import { positionsOf } from '../rotary-angles.js';

/**
 * What the config of every decoder of LLaMA's kind has. Sizes must be there; a family overrides the defaults in which
 * it differs. A schema that has these fields ends with `.superRefine(fittingDecoder)`.
 */
export const decoderFields = {
  ...pretrainedFields,
  ...ropeFields,
  vocab_size: positive,
  hidden_size: positive,
  intermediate_size: positive,
  num_hidden_layers: pieces,
  num_attention_heads: positive,
  /** By default as many as num_attention_heads. */
  num_key_value_heads: positive.nullish(),
  /** By default hidden_size / num_attention_heads. */
  head_dim: positive.nullish(),
  hidden_act: activationName.default('silu'),
  max_position_embeddings: positive,
  rms_norm_eps: z.number().positive().default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
  /** Of training. */
  attention_dropout: ofNoMatter,
};

export type DenseDecoderConfig = z.infer<z.ZodObject<typeof decoderFields>>;
/** What all decoders have, also those in which no layer has an MLP of its own. */
export type DecoderConfig = Omit<DenseDecoderConfig, 'intermediate_size'>;

/** The widest heads of published models have 512. */
const maxHeadDim = 4096;
/**
 * Published models have up to 10,485,760 positions. The angles of each are in a table of the graph, of headDim / 2 numbers for sines and
 * as many for cosines: 4 GB each for this many and heads of 128.
 */
const maxPositions = 2 ** 24;

/** How a config divides a hidden state into heads. */
export function headsOf(config: DecoderConfig): { heads: number; kvHeads: number; headDim: number } {
  const { hidden_size, num_attention_heads: heads, num_key_value_heads, head_dim } = config;
  return { heads, kvHeads: num_key_value_heads ?? heads, headDim: head_dim ?? hidden_size / heads };
}

/** Refuses heads that do not fit each other or the hidden state, and two ways to say the rotary angles. */
export function fittingDecoder(config: DecoderConfig, context: z.RefinementCtx): void {
  const { heads, kvHeads, headDim } = headsOf(config);
  const problem = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message });
  if (heads % kvHeads !== 0) problem('num_attention_heads', 'is no multiple of num_key_value_heads');
  const sizes = config.head_dim == null ? 'hidden_size' : 'head_dim';
  if (!Number.isInteger(headDim)) problem(sizes, 'is no multiple of num_attention_heads');
  else if (headDim % headDimStep !== 0) {
    problem(sizes, `gives heads of size ${headDim}; only multiples of ${headDimStep} are supported`);
  } else if (headDim > maxHeadDim)
    problem(sizes, `gives heads of size ${headDim}; at most ${maxHeadDim} are supported`);
  const positions = positionsOf(config);
  if (positions > maxPositions) {
    const what = `gives ${positions} positions, each with its angles in a table; at most ${maxPositions} are supported`;
    problem('max_position_embeddings', what);
  }
  oneRope(config, context);
}
