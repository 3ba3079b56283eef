import { z } from 'zod';
import { notBuilt, positive } from '../../../config.js';
import { decoderFields, fittingDecoder } from '../decoder-fields.js';
import { fittingExperts, qwenExpertFields } from '../qwen-experts.js';
import { fittingWindows, slidingWindowFields } from '../sliding-window.js';

/** Qwen2MoeConfig of transformers. */
export const qwen2MoeConfig = z
  .object({
    ...decoderFields,
    ...slidingWindowFields,
    ...qwenExpertFields,
    num_key_value_heads: positive.nullable().default(16),
    max_position_embeddings: positive.default(32768),
    shared_expert_intermediate_size: positive,
    /** Of queries, keys and values. */
    qkv_bias: z.boolean().default(true),
  })
  .catchall(notBuilt)
  .superRefine(fittingDecoder)
  .superRefine(fittingWindows)
  .superRefine(fittingExperts);
