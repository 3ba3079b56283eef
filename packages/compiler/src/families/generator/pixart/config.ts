import { z } from 'zod';
import { notBuilt, ofNoMatter, pieces, positive } from '../../../config.js';
import { pretrainedFields } from '../../pretrained-fields.js';

/** What the network predicts, in the manifest's words. */
const predictionTypes = {
  sample: 'sample',
  epsilon: 'epsilon',
  v_prediction: 'velocity',
  velocity: 'velocity',
} as const;

const threeChannels = z.literal(3, 'must be 3: pictures are drawn as they are, without a VAE');

const schedulerConfig = z
  .object({
    _class_name: z.literal('FlowMatchEulerDiscreteScheduler'),
    _diffusers_version: ofNoMatter,
    num_train_timesteps: positive,
    shift: z.number().positive(),
    /** Without use_dynamic_shifting these say nothing. */
    base_shift: ofNoMatter,
    max_shift: ofNoMatter,
    base_image_seq_len: ofNoMatter,
    max_image_seq_len: ofNoMatter,
    time_shift_type: ofNoMatter,
  })
  .catchall(notBuilt);

/**
 * The config of diffusers' PixArtTransformer2DModel, and fields of Tessera's own: condition_length, prediction_type,
 * scheduler, num_inference_steps, guidance_scale and vae.
 */
export const pixartConfig = z
  .object({
    ...pretrainedFields,
    _class_name: z.literal('PixArtTransformer2DModel').optional(),
    _diffusers_version: ofNoMatter,
    sample_size: positive,
    patch_size: positive,
    in_channels: threeChannels,
    out_channels: threeChannels,
    num_layers: pieces,
    num_attention_heads: positive,
    attention_head_dim: positive,
    cross_attention_dim: positive,
    caption_channels: positive,
    attention_bias: z.literal(true, 'attention without biases is not supported').optional(),
    attention_type: z.literal('default').optional(),
    activation_fn: z.enum(['gelu', 'gelu-approximate']),
    norm_type: z.literal('ada_norm_single'),
    norm_eps: z.literal(1e-6, 'must be 1e-6, which the last norm has whatever the config says'),
    use_additional_conditions: z.literal(false, 'are not supported').nullish(),
    interpolation_scale: z.number().positive().nullish(),
    condition_length: positive,
    prediction_type: z
      .enum(Object.keys(predictionTypes) as [keyof typeof predictionTypes])
      .transform((type) => predictionTypes[type]),
    scheduler: schedulerConfig,
    num_inference_steps: positive,
    guidance_scale: z.number().nonnegative(),
    vae: z.null('a VAE decoder is not supported yet').optional(),
    /** Training. */
    dropout: ofNoMatter,
    /** Of kinds of norms that norm_type excludes. */
    norm_num_groups: ofNoMatter,
    num_embeds_ada_norm: ofNoMatter,
    /** Attention is in float32 always. */
    upcast_attention: ofNoMatter,
  })
  .catchall(notBuilt)
  .superRefine((config, context) => {
    const problem = (field: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [field], message });
    const width = config.num_attention_heads * config.attention_head_dim;
    if (config.sample_size % config.patch_size !== 0) problem('sample_size', 'is no multiple of patch_size');
    if (config.cross_attention_dim !== width) problem('cross_attention_dim', `is not the model's width, ${width}`);
    // diffusers turns them on at this size unless the config turns them off.
    if (config.sample_size === 128 && config.use_additional_conditions !== false)
      problem('use_additional_conditions', 'must be false at sample_size 128');
  });

export type PixArtConfig = z.infer<typeof pixartConfig>;
