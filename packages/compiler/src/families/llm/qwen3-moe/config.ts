import { z } from 'zod';
import { notBuilt, ofNoMatter, positive } from '../../../config.js';
import { decoderFields, fittingDecoder } from '../decoder-fields.js';
import { fittingExperts, qwenExpertFields } from '../qwen-experts.js';
import { fittingWindow, slidingWindowFields } from '../sliding-window.js';

/** Qwen3MoeConfig of transformers. */
export const qwen3MoeConfig = z
  .object({
    ...decoderFields,
    ...qwenExpertFields,
    num_key_value_heads: positive.nullable().default(4),
    max_position_embeddings: positive.default(32768),
    attention_bias: z.boolean().default(false),
    ...slidingWindowFields,
    /** The published code has windows in every layer, or in none, and reads neither of these two. */
    max_window_layers: ofNoMatter,
    layer_types: notBuilt.optional(),
    /** Some files name what every model of the family has, or has not. */
    use_qk_norm: z.literal(true, 'attention without norms of queries and keys is not supported').optional(),
    shared_expert_intermediate_size: z.literal(0, 'shared experts are not supported').optional(),
  })
  .catchall(notBuilt)
  .superRefine(fittingDecoder)
  .superRefine(fittingWindow)
  .superRefine(fittingExperts);
