import { z } from 'zod';
import { pieces, positive } from '../../../config.js';
import { activationName } from '../../../layers/index.js';

/** A bottleneck layer works on a quarter of the channels. */
export const bottleneckReduction = 4;

/** ResNetConfig of transformers, and the size of a picture, which is Tessera's own field. */
export const resnetConfig = z
  .object({
    num_channels: z.literal(3, 'pictures have three channels here').default(3),
    image_size: positive.default(224),
    embedding_size: positive,
    hidden_sizes: z.array(positive).min(1),
    depths: z.array(pieces).min(1).max(16),
    layer_type: z.enum(['basic', 'bottleneck']),
    hidden_act: activationName,
    downsample_in_first_stage: z.boolean().default(false),
    downsample_in_bottleneck: z.boolean().default(false),
  })
  .refine((config) => config.hidden_sizes.length === config.depths.length, 'hidden_sizes and depths differ in length');

export type ResNetConfig = z.infer<typeof resnetConfig>;
