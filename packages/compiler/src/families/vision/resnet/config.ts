import { z } from 'zod';
import { notBuilt, ofNoMatter, pieces, positive } from '../../../config.js';
import { activationName } from '../../../layers/index.js';
import { pretrainedFields } from '../../pretrained-fields.js';

/** A bottleneck layer works on a quarter of the channels. */
export const bottleneckReduction = 4;

/** ResNetConfig of transformers, and the size of a picture, which is Tessera's own field. */
export const resnetConfig = z
  .object({
    ...pretrainedFields,
    num_channels: z.literal(3, 'pictures have three channels here').default(3),
    image_size: positive.default(224),
    embedding_size: positive,
    hidden_sizes: z.array(positive).min(1),
    depths: z.array(pieces).min(1).max(16),
    layer_type: z.enum(['basic', 'bottleneck']),
    hidden_act: activationName,
    downsample_in_first_stage: z.boolean().default(false),
    downsample_in_bottleneck: z.boolean().default(false),
    /** What a backbone gives: the last stage, which is what is taken here. */
    out_features: z.array(z.string()).nullish(),
    out_indices: z.array(z.number()).nullish(),
    stage_names: ofNoMatter,
    /** There is no head. */
    tie_word_embeddings: ofNoMatter,
  })
  .catchall(notBuilt)
  .superRefine(({ hidden_sizes, depths, layer_type, out_features, out_indices }, context) => {
    const problem = (field: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [field], message });
    const last = depths.length;
    if (hidden_sizes.length !== last) problem('hidden_sizes', 'differs from depths in length');
    if (layer_type === 'bottleneck' && hidden_sizes.some((size) => size % bottleneckReduction !== 0))
      problem('hidden_sizes', `are no multiples of ${bottleneckReduction}, as bottleneck layers need`);
    if (out_features && out_features.join() !== `stage${last}`)
      problem('out_features', 'asks for more than the last stage, which is not supported');
    if (out_indices && out_indices.join() !== `${last}`)
      problem('out_indices', 'asks for more than the last stage, which is not supported');
  });

export type ResNetConfig = z.infer<typeof resnetConfig>;
