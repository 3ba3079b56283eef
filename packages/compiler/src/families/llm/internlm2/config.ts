import { z } from 'zod';
import { notBuilt, ofNoMatter, positive } from '../../../config.js';
import { decoderFields, fittingDecoder } from '../decoder-fields.js';

/** InternLM2Config of the code that is published with the models. Its heads are always hidden_size / num_attention_heads wide. */
export const internlm2Config = z
  .object({
    ...decoderFields,
    max_position_embeddings: positive.default(2048),
    /** Of attention, all of it. */
    bias: z.boolean().default(true),
    /** How a linear layer is cut to be computed. */
    pretraining_tp: ofNoMatter,
  })
  .catchall(notBuilt)
  .superRefine(fittingDecoder)
  .superRefine((config, context) => {
    const { head_dim, hidden_size, num_attention_heads, rope_scaling } = config;
    const problem = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (head_dim != null && head_dim * num_attention_heads !== hidden_size) {
      problem(['head_dim'], 'is not hidden_size / num_attention_heads, as it is in every model of the family');
    }
    const kind = rope_scaling?.rope_type ?? 'default';
    if (!['default', 'linear', 'dynamic'].includes(kind)) {
      problem(['rope_scaling', 'rope_type'], `is ${kind}; known of the family are linear and dynamic`);
    }
  });
