import { z } from 'zod';
import { notBuilt, positive } from '../../../config.js';
import { decoderFields, fittingDecoder } from '../decoder-fields.js';
import { fittingWindows, slidingWindowFields } from '../sliding-window.js';

/** Qwen3Config of transformers. */
export const qwen3Config = z
  .object({
    ...decoderFields,
    ...slidingWindowFields,
    num_key_value_heads: positive.nullable().default(32),
    head_dim: positive.default(128),
    max_position_embeddings: positive.default(32768),
    attention_bias: z.boolean().default(false),
  })
  .catchall(notBuilt)
  .superRefine(fittingDecoder)
  .superRefine(fittingWindows);
