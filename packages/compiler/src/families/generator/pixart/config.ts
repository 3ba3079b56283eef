import { z } from 'zod';
import { pieces, positive } from '../../../config.js';
import { activationName } from '../../../layers/index.js';

/** What the network predicts, in the manifest's words. */
const predictionTypes = {
  sample: 'sample',
  epsilon: 'epsilon',
  v_prediction: 'velocity',
  velocity: 'velocity',
} as const;

const threeChannels = z.literal(3, 'must be 3: pictures are drawn as they are, without a VAE');

const schedulerConfig = z.object({
  _class_name: z.literal('FlowMatchEulerDiscreteScheduler'),
  num_train_timesteps: positive,
  shift: z.number().positive(),
});

/**
 * The config of diffusers' PixArtTransformer2DModel, and fields of Tessera's own: condition_length, prediction_type,
 * scheduler, num_inference_steps, guidance_scale and vae.
 */
export const pixartConfig = z
  .object({
    sample_size: positive,
    patch_size: positive,
    in_channels: threeChannels,
    out_channels: threeChannels,
    num_layers: pieces,
    num_attention_heads: positive,
    attention_head_dim: positive,
    cross_attention_dim: positive,
    caption_channels: positive,
    activation_fn: activationName,
    norm_type: z.literal('ada_norm_single'),
    norm_eps: z.number().positive(),
    interpolation_scale: z.number().positive().nullish(),
    condition_length: positive,
    prediction_type: z
      .enum(Object.keys(predictionTypes) as [keyof typeof predictionTypes])
      .transform((type) => predictionTypes[type]),
    scheduler: schedulerConfig,
    num_inference_steps: positive,
    guidance_scale: z.number().nonnegative(),
    vae: z.null('a VAE decoder is not supported yet').optional(),
  })
  .superRefine((config, context) => {
    const problem = (field: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [field], message });
    const width = config.num_attention_heads * config.attention_head_dim;
    if (config.sample_size % config.patch_size !== 0) problem('sample_size', 'is no multiple of patch_size');
    if (config.cross_attention_dim !== width) problem('cross_attention_dim', `is not the model's width, ${width}`);
  });

export type PixArtConfig = z.infer<typeof pixartConfig>;
