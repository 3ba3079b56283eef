import { z } from 'zod';
import { notBuilt, positive } from '../../../config.js';
import { decoderFields, fittingDecoder } from '../decoder-fields.js';
import { fittingWindows, slidingWindowFields } from '../sliding-window.js';

/** Qwen2Config of transformers. */
export const qwen2Config = z
  .object({
    ...decoderFields,
    ...slidingWindowFields,
    num_key_value_heads: positive.nullable().default(32),
    max_position_embeddings: positive.default(32768),
  })
  .catchall(notBuilt)
  .superRefine(fittingDecoder)
  .superRefine(fittingWindows);
