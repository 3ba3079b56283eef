import { z } from 'zod';
import type { Module } from '../checkpoint/parameters.js';
import { parseConfig, pieces, positive } from '../config.js';
import {
  activationName,
  activations,
  add,
  conv2dBatchNorm,
  maxPool,
  reshape,
  transpose,
  type Value,
} from '../graph/index.js';
import type { VisionEncoder } from './encoder.js';

const resnetConfig = z
  .object({
    num_channels: positive.default(3),
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

/** PyTorch's default, which the published models keep. */
const epsilon = 1e-5;
/** A bottleneck layer works on a quarter of the channels. */
const reduction = 4;

interface LayerShape {
  readonly from: number;
  readonly to: number;
  readonly stride: number;
}

/** ResNet (He et al. 2015) as Hugging Face's ResNetModel; its features are the last map, row by row. */
export function resnet(config: unknown, where: string): VisionEncoder {
  const options = parseConfig(resnetConfig, config, where);
  const { num_channels, image_size, embedding_size, hidden_sizes, depths, downsample_in_first_stage } = options;
  const activate = activations[options.hidden_act];

  function convNorm(x: Value, module: Module, shape: LayerShape & { kernel: number }): Value {
    return conv2dBatchNorm(x, module.at('convolution'), module.at('normalization'), {
      ...shape,
      padding: Math.floor(shape.kernel / 2),
      epsilon,
    });
  }

  function basic(x: Value, module: Module, { from, to, stride }: LayerShape): Value {
    const first = activate(convNorm(x, module.at('0'), { from, to, stride, kernel: 3 }));
    return convNorm(first, module.at('1'), { from: to, to, stride: 1, kernel: 3 });
  }

  function bottleneck(x: Value, module: Module, { from, to, stride }: LayerShape): Value {
    const inner = to / reduction;
    const [early, late] = options.downsample_in_bottleneck ? [stride, 1] : [1, stride];
    const first = activate(convNorm(x, module.at('0'), { from, to: inner, stride: early, kernel: 1 }));
    const second = activate(convNorm(first, module.at('1'), { from: inner, to: inner, stride: late, kernel: 3 }));
    return convNorm(second, module.at('2'), { from: inner, to, stride: 1, kernel: 1 });
  }

  function layer(x: Value, module: Module, shape: LayerShape): Value {
    const changes = shape.from !== shape.to || shape.stride !== 1;
    const shortcut = changes ? convNorm(x, module.at('shortcut'), { ...shape, kernel: 1 }) : x;
    const residual = (options.layer_type === 'basic' ? basic : bottleneck)(x, module.at('layer'), shape);
    return activate(add(residual, shortcut));
  }

  function features(pixels: Value, weights: Module): Value {
    const stem = weights.at('embedder.embedder');
    let map = activate(convNorm(pixels, stem, { from: num_channels, to: embedding_size, stride: 2, kernel: 7 }));
    map = maxPool(map, { kernel: 3, stride: 2, padding: 1 });
    let from = embedding_size;
    for (const [stage, to] of hidden_sizes.entries()) {
      for (let index = 0; index < (depths[stage] as number); index++) {
        const stride = index === 0 && (stage > 0 || downsample_in_first_stage) ? 2 : 1;
        const name = `encoder.stages.${stage}.layers.${index}`;
        map = map.graph.scope(name, () => layer(map, weights.at(name), { from, to, stride }));
        from = to;
      }
    }
    return transpose(reshape(map, [0, width, -1]), [0, 2, 1]);
  }

  const width = hidden_sizes.at(-1) as number;
  const halvings = 2 + hidden_sizes.length - (downsample_in_first_stage ? 0 : 1);
  // Every halving of a convolution or pool with this padding rounds up.
  const side = Math.ceil(image_size / 2 ** halvings);
  return {
    inputSize: { height: image_size, width: image_size },
    channels: num_channels,
    patches: side * side,
    width,
    features,
  };
}
