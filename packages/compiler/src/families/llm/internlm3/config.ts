import { z } from 'zod';
import { notBuilt, positive } from '../../../config.js';
import { decoderFields, fittingDecoder } from '../decoder-fields.js';

/** InternLM3Config of the code that is published with the models. */
export const internlm3Config = z
  .object({
    ...decoderFields,
    max_position_embeddings: positive.default(32768),
    /** Of queries, keys and values. */
    qkv_bias: z.boolean().default(false),
    /** Of all other linear layers. */
    bias: z.boolean().default(false),
  })
  .catchall(notBuilt)
  .superRefine(fittingDecoder);
