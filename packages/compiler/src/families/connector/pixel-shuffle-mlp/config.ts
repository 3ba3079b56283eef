import { z } from 'zod';
import { positive } from '../../../config.js';
import { activationName } from '../../../layers/index.js';

/** Tessera's own format: what InternVL's config says of its projector, as a part of its own. */
export const pixelShuffleMlpConfig = z.object({
  downsample_ratio: z.number().positive().max(1),
  layer_norm_eps: z.number().positive().default(1e-5),
  hidden_act: activationName,
  in_features: positive,
  out_features: positive,
});

export type PixelShuffleMlpConfig = z.infer<typeof pixelShuffleMlpConfig>;
