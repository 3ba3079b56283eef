import { z } from 'zod';
import { notBuilt, ofNoMatter, pieces, positive } from '../../../config.js';
import { activationName, headDimStep } from '../../../layers/index.js';
import { pretrainedFields } from '../../pretrained-fields.js';
import { oneRope, ropeFields } from '../../rope-fields.js';

/** Qwen3MoeConfig of transformers. */
export const qwen3MoeConfig = z
  .object({
    ...pretrainedFields,
    ...ropeFields,
    vocab_size: positive,
    hidden_size: positive,
    intermediate_size: positive.optional(),
    num_hidden_layers: pieces,
    num_attention_heads: positive,
    num_key_value_heads: positive,
    head_dim: positive.multipleOf(headDimStep),
    num_experts: pieces,
    num_experts_per_tok: positive,
    moe_intermediate_size: positive,
    norm_topk_prob: z.boolean(),
    decoder_sparse_step: positive.default(1),
    mlp_only_layers: z.array(z.number().int().nonnegative()).default([]),
    use_sliding_window: z.literal(false, 'sliding windows are not supported').optional(),
    /** Without use_sliding_window these two say nothing. */
    sliding_window: ofNoMatter,
    max_window_layers: ofNoMatter,
    rms_norm_eps: z.number().positive(),
    hidden_act: activationName,
    attention_bias: z.boolean().default(false),
    tie_word_embeddings: z.boolean().default(false),
    /** Some files name what every model of the family has, or has not. */
    use_qk_norm: z.literal(true, 'attention without norms of queries and keys is not supported').optional(),
    shared_expert_intermediate_size: z.literal(0, 'shared experts are not supported').optional(),
    max_position_embeddings: positive,
    /** Training. */
    attention_dropout: ofNoMatter,
    output_router_logits: ofNoMatter,
    router_aux_loss_coef: ofNoMatter,
  })
  .catchall(notBuilt)
  .superRefine(oneRope)
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

export type Qwen3MoeConfig = z.infer<typeof qwen3MoeConfig>;
