import type { Module } from '../../../checkpoint/parameters.js';
import { add, mul, reshape, split, transpose, unsqueeze, type Value } from '../../../graph/index.js';
import {
  activations,
  conv2d,
  geluTanh,
  gridEmbedding,
  linear,
  multiHeadAttention,
  parameterValue,
  plainLayerNorm,
  silu,
  timestepEmbedding,
} from '../../../layers/index.js';
import type { Generator } from '../../../stages/generator.js';
import { type Family, family } from '../../family.js';
import { type PixArtConfig, pixartConfig } from './config.js';
import { names } from './tensor-names.js';

/** Width of the timestep's sinusoids, fixed in diffusers. */
const timestepChannels = 256;
/** Width of the feed-forward layer in widths of the model, fixed in diffusers. */
const feedForwardFactor = 4;

function pieces(config: PixArtConfig): Generator {
  const { sample_size: size, patch_size: patch, num_attention_heads: heads, norm_eps: epsilon } = config;
  const { in_channels: channels, caption_channels: conditionWidth, condition_length: conditionLength } = config;
  const width = heads * config.attention_head_dim;
  const side = size / patch;
  const within = { from: width, to: width, bias: true };

  /** Where a layer norm's scale and shift come from the timestep. */
  const modulate = (x: Value, scale: Value, shift: Value): Value =>
    add(mul(plainLayerNorm(x, width, epsilon), add(scale, 1)), shift);

  function attention(x: Value, source: Value, module: Module): Value {
    const q = linear(x, module.at(names.query), within);
    const k = linear(source, module.at(names.key), within);
    const v = linear(source, module.at(names.value), within);
    return linear(multiHeadAttention(q, k, v, heads), module.at(names.output), within);
  }

  function feedForward(x: Value, module: Module): Value {
    const inner = width * feedForwardFactor;
    const hidden = linear(x, module.at(names.mlpIn), { from: width, to: inner, bias: true });
    return linear(activations[config.activation_fn](hidden), module.at(names.mlpOut), {
      from: inner,
      to: width,
      bias: true,
    });
  }

  /** The rows of a module's table plus what the timestep adds to them: `rows` values [batch, 1, width]. */
  function modulation(signal: Value, module: Module, rows: number): Value[] {
    return split(add(parameterValue(signal.graph, module, names.table, [rows, width]), signal), rows, 1);
  }

  /** signal [batch, 6, width]: shift, scale and gate of the attention, then of the feed-forward layer. */
  function block(x: Value, text: Value, signal: Value, module: Module): Value {
    const parts = modulation(signal, module, 6);
    const [shift, scale, gate, shiftMlp, scaleMlp, gateMlp] = parts as [Value, Value, Value, Value, Value, Value];
    const normed = modulate(x, scale, shift);
    const attended = add(x, mul(gate, attention(normed, normed, module.at(names.selfAttention))));
    const informed = add(attended, attention(attended, text, module.at(names.crossAttention)));
    return add(informed, mul(gateMlp, feedForward(modulate(informed, scaleMlp, shiftMlp), module)));
  }

  /** Picture [batch, channels, size, size] to one vector a patch, with its place: [batch, side * side, width]. */
  function patches(sample: Value, weights: Module): Value {
    const options2d = { from: channels, to: width, kernel: patch, stride: patch, padding: 0 };
    const map = conv2d(sample, weights.at(names.patches), options2d);
    const rows = transpose(reshape(map, [0, width, -1]), [0, 2, 1]);
    const scale = config.interpolation_scale ?? Math.max(Math.floor(size / 64), 1);
    return add(rows, gridEmbedding(sample.graph, { rows: side, columns: side, width, scale }));
  }

  /** Vectors of patches back to a picture. */
  function picture(x: Value): Value {
    const grid = reshape(x, [-1, side, side, patch, patch, channels]);
    return reshape(transpose(grid, [0, 5, 1, 3, 2, 4]), [-1, channels, size, size]);
  }

  function caption(condition: Value, module: Module): Value {
    const hidden = linear(condition, module.at(names.inner), { from: conditionWidth, to: width, bias: true });
    return linear(geluTanh(hidden), module.at(names.outer), within);
  }

  function embedTimestep(timestep: Value, module: Module): Value {
    const waves = timestepEmbedding(timestep, timestepChannels);
    const hidden = linear(waves, module.at(names.inner), { from: timestepChannels, to: width, bias: true });
    return linear(silu(hidden), module.at(names.outer), within);
  }

  function predict(sample: Value, timestep: Value, condition: Value, weights: Module): Value {
    const time = embedTimestep(timestep, weights.at(names.timestep));
    const signal = linear(silu(time), weights.at(names.modulations), { from: width, to: 6 * width, bias: true });
    const sixfold = reshape(signal, [-1, 6, width]);
    const text = caption(condition, weights.at(names.caption));
    let x = patches(sample, weights);
    for (let layer = 0; layer < config.num_layers; layer++) {
      const name = names.block(layer);
      x = x.graph.scope(name, () => block(x, text, sixfold, weights.at(name)));
    }
    const [shift, scale] = modulation(unsqueeze(time, 1), weights, 2) as [Value, Value];
    const pixels = { from: width, to: patch * patch * channels, bias: true };
    return picture(linear(modulate(x, scale, shift), weights.at(names.pixels), pixels));
  }

  return {
    section: {
      height: size,
      width: size,
      channels,
      conditionLength,
      conditionWidth,
      defaultSteps: config.num_inference_steps,
      defaultGuidance: config.guidance_scale,
      numTrainTimesteps: config.scheduler.num_train_timesteps,
      shift: config.scheduler.shift,
      predictionType: config.prediction_type,
    },
    nullCondition: (weights) => weights.parameter(names.nullCondition, [conditionLength, conditionWidth]),
    predict,
  };
}

/** PixArt's diffusion transformer (Chen et al. 2023), as diffusers' PixArtTransformer2DModel, in pixel space. */
export const pixart: Family<Generator> = family(pixartConfig, pieces);
