import { z } from 'zod';
import { notBuilt, positive } from '../../../config.js';
import { decoderFields, fittingDecoder } from '../decoder-fields.js';

/** MistralConfig of transformers. */
export const mistralConfig = z
  .object({
    ...decoderFields,
    num_key_value_heads: positive.nullable().default(8),
    max_position_embeddings: positive.default(4096 * 32),
    /** Of every layer; null: none. */
    sliding_window: positive.nullable().default(4096),
  })
  .catchall(notBuilt)
  .superRefine(fittingDecoder);
