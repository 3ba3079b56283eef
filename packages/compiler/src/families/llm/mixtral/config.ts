import { z } from 'zod';
import { notBuilt, ofNoMatter, pieces, positive } from '../../../config.js';
import { decoderFields, fittingDecoder } from '../decoder-fields.js';

/** MixtralConfig of transformers. */
export const mixtralConfig = z
  .object({
    ...decoderFields,
    num_key_value_heads: positive.nullable().default(8),
    max_position_embeddings: positive.default(4096 * 32),
    rms_norm_eps: z.number().positive().default(1e-5),
    /** Of every layer; null: none. */
    sliding_window: positive.nullish(),
    num_local_experts: pieces.default(8),
    num_experts_per_tok: positive.default(2),
    /** Training. */
    router_jitter_noise: ofNoMatter,
    output_router_logits: ofNoMatter,
    router_aux_loss_coef: ofNoMatter,
  })
  .catchall(notBuilt)
  .superRefine(fittingDecoder)
  .refine((config) => config.num_experts_per_tok <= config.num_local_experts, {
    path: ['num_experts_per_tok'],
    error: 'is more than there are experts',
  });
