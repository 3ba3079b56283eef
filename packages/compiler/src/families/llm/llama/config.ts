import { z } from 'zod';
import { notBuilt, ofNoMatter, positive } from '../../../config.js';
import { decoderFields, fittingDecoder } from '../decoder-fields.js';

/** LlamaConfig of transformers. */
export const llamaConfig = z
  .object({
    ...decoderFields,
    max_position_embeddings: positive.default(2048),
    attention_bias: z.boolean().default(false),
    mlp_bias: z.boolean().default(false),
    /** The published weights are in the order for halves that are turned against each other. */
    rope_interleaved: z.literal(false, 'pairs of neighbours are not supported').optional(),
    /** How a linear layer is cut to be computed. */
    pretraining_tp: ofNoMatter,
    /** Files of the first models repeat max_position_embeddings in it. */
    max_sequence_length: ofNoMatter,
    is_llama_config: ofNoMatter,
    'transformers.js_config': ofNoMatter,
  })
  .catchall(notBuilt)
  .superRefine(fittingDecoder);
