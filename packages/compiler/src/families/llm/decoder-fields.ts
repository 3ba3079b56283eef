import { z } from 'zod';
import { ofNoMatter, pieces, positive } from '../../config.js';
import { activationName, headDimStep } from '../../layers/index.js';
import { pretrainedFields } from '../pretrained-fields.js';
import { oneRope, ropeFields } from '../rope-fields.js';

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
  }
  oneRope(config, context);
}
