import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import type { Module } from '../checkpoint/parameters.js';
import { parseConfig, pieces, positive } from '../config.js';
import {
  activationName,
  activations,
  add,
  conv2d,
  geluTanh,
  linear,
  mul,
  multiHeadAttention,
  parameterValue,
  plainLayerNorm,
  reshape,
  silu,
  split,
  transpose,
  unsqueeze,
  type Value,
} from '../graph/index.js';
import { gridEmbedding, timestepEmbedding } from '../layers/sine-cosine.js';
import type { Generator } from './generator.js';

const predictionTypes = {
  sample: 'sample',
  epsilon: 'epsilon',
  v_prediction: 'velocity',
  velocity: 'velocity',
} as const;

const pixartConfig = z.object({
  sample_size: positive,
  patch_size: positive,
  in_channels: positive,
  out_channels: positive,
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
  prediction_type: z.enum(Object.keys(predictionTypes) as [keyof typeof predictionTypes]),
  scheduler: z.object({
    _class_name: z.literal('FlowMatchEulerDiscreteScheduler'),
    num_train_timesteps: positive,
    shift: z.number().positive(),
  }),
  num_inference_steps: positive,
  guidance_scale: z.number().nonnegative(),
  vae: z.null('a VAE decoder is not supported yet').optional(),
});

/** Width of the timestep's sinusoids, fixed in diffusers. */
const timestepChannels = 256;
/** Width of the feed-forward layer in widths of the model, fixed in diffusers. */
const feedForwardFactor = 4;

/** PixArt's diffusion transformer (Chen et al. 2023), as diffusers' PixArtTransformer2DModel, in pixel space. */
export function pixart(config: unknown, where: string): Generator {
  const options = parseConfig(pixartConfig, config, where);
  const { sample_size: size, patch_size: patch, num_attention_heads: heads, norm_eps: epsilon } = options;
  const width = heads * options.attention_head_dim;
  const side = size / patch;
  if (
    !Number.isInteger(side) ||
    options.in_channels !== options.out_channels ||
    options.cross_attention_dim !== width
  ) {
    throw new TesseraError(
      'CHECKPOINT_INVALID',
      `${where}: needs a sample_size that patches divide, as many channels out as in, and cross_attention_dim ${width}`,
    );
  }
  const within = { from: width, to: width, bias: true };
  const conditionWidth = options.caption_channels;

  /** Where a layer norm's scale and shift come from the timestep. */
  const modulate = (x: Value, scale: Value, shift: Value): Value =>
    add(mul(plainLayerNorm(x, width, epsilon), add(scale, 1)), shift);

  function attention(x: Value, source: Value, module: Module): Value {
    const q = linear(x, module.at('to_q'), within);
    const k = linear(source, module.at('to_k'), within);
    const v = linear(source, module.at('to_v'), within);
    return linear(multiHeadAttention(q, k, v, heads), module.at('to_out.0'), within);
  }

  function feedForward(x: Value, module: Module): Value {
    const inner = width * feedForwardFactor;
    const hidden = linear(x, module.at('net.0.proj'), { from: width, to: inner, bias: true });
    return linear(activations[options.activation_fn](hidden), module.at('net.2'), {
      from: inner,
      to: width,
      bias: true,
    });
  }

  /** The rows of a module's table plus what the timestep adds to them: `rows` values [batch, 1, width]. */
  function modulation(signal: Value, module: Module, rows: number): Value[] {
    return split(add(parameterValue(signal.graph, module, 'scale_shift_table', [rows, width]), signal), rows, 1);
  }

  /** signal [batch, 6, width]: shift, scale and gate of the attention, then of the feed-forward layer. */
  function block(x: Value, text: Value, signal: Value, module: Module): Value {
    const parts = modulation(signal, module, 6);
    const [shift, scale, gate, shiftMlp, scaleMlp, gateMlp] = parts as [Value, Value, Value, Value, Value, Value];
    const normed = modulate(x, scale, shift);
    const attended = add(x, mul(gate, attention(normed, normed, module.at('attn1'))));
    const informed = add(attended, attention(attended, text, module.at('attn2')));
    return add(informed, mul(gateMlp, feedForward(modulate(informed, scaleMlp, shiftMlp), module.at('ff'))));
  }

  /** Picture [batch, channels, size, size] to one vector a patch, with its place: [batch, side * side, width]. */
  function patches(sample: Value, weights: Module): Value {
    const options2d = { from: options.in_channels, to: width, kernel: patch, stride: patch, padding: 0 };
    const map = conv2d(sample, weights.at('pos_embed.proj'), options2d);
    const rows = transpose(reshape(map, [0, width, -1]), [0, 2, 1]);
    const scale = options.interpolation_scale ?? Math.max(Math.floor(size / 64), 1);
    return add(rows, gridEmbedding(sample.graph, { rows: side, columns: side, width, scale }));
  }

  /** Vectors of patches back to a picture. */
  function picture(x: Value): Value {
    const grid = reshape(x, [-1, side, side, patch, patch, options.out_channels]);
    return reshape(transpose(grid, [0, 5, 1, 3, 2, 4]), [-1, options.out_channels, size, size]);
  }

  function caption(condition: Value, module: Module): Value {
    const hidden = linear(condition, module.at('linear_1'), { from: conditionWidth, to: width, bias: true });
    return linear(geluTanh(hidden), module.at('linear_2'), within);
  }

  function embedTimestep(timestep: Value, module: Module): Value {
    const waves = timestepEmbedding(timestep, timestepChannels);
    const hidden = linear(waves, module.at('linear_1'), { from: timestepChannels, to: width, bias: true });
    return linear(silu(hidden), module.at('linear_2'), within);
  }

  function predict(sample: Value, timestep: Value, condition: Value, weights: Module): Value {
    const adaptive = weights.at('adaln_single');
    const time = embedTimestep(timestep, adaptive.at('emb.timestep_embedder'));
    const signal = linear(silu(time), adaptive.at('linear'), { from: width, to: 6 * width, bias: true });
    const sixfold = reshape(signal, [-1, 6, width]);
    const text = caption(condition, weights.at('caption_projection'));
    let x = patches(sample, weights);
    for (let layer = 0; layer < options.num_layers; layer++) {
      const name = `transformer_blocks.${layer}`;
      x = x.graph.scope(name, () => block(x, text, sixfold, weights.at(name)));
    }
    const [shift, scale] = modulation(unsqueeze(time, 1), weights, 2) as [Value, Value];
    const pixels = { from: width, to: patch * patch * options.out_channels, bias: true };
    return picture(linear(modulate(x, scale, shift), weights.at('proj_out'), pixels));
  }

  return {
    height: size,
    width: size,
    channels: options.in_channels,
    conditionLength: options.condition_length,
    conditionWidth,
    defaultSteps: options.num_inference_steps,
    defaultGuidance: options.guidance_scale,
    numTrainTimesteps: options.scheduler.num_train_timesteps,
    shift: options.scheduler.shift,
    predictionType: predictionTypes[options.prediction_type],
    nullCondition: (weights) => weights.parameter('condition.null', [options.condition_length, conditionWidth]),
    predict,
  };
}
