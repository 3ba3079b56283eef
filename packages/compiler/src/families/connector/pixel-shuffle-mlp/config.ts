import { z } from 'zod';
import { notBuilt, positive } from '../../../config.js';
import { activationName } from '../../../layers/index.js';
import { pretrainedFields } from '../../pretrained-fields.js';

/** Tessera's own format: what InternVL's config says of its projector, as a part of its own. */
export const pixelShuffleMlpConfig = z
  .object({
    ...pretrainedFields,
    downsample_ratio: z
      .number()
      .positive()
      .max(1)
      .refine((ratio) => Math.abs(1 / ratio - Math.round(1 / ratio)) < 1e-6, 'is not one over a whole number'),
    layer_norm_eps: z.number().positive().default(1e-5),
    hidden_act: activationName,
    in_features: positive,
    out_features: positive,
  })
  .catchall(notBuilt);

export type PixelShuffleMlpConfig = z.infer<typeof pixelShuffleMlpConfig>;
