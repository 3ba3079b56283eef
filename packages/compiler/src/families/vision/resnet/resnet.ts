import type { Module } from '../../../checkpoint/parameters.js';
import { add, reshape, transpose, type Value } from '../../../graph/index.js';
import { activations, conv2dBatchNorm, maxPool } from '../../../layers/index.js';
import type { VisionEncoder } from '../../../stages/vision-encoder.js';
import { type Family, family } from '../../family.js';
import { fixedSizePreprocessing } from '../preprocessor-config.js';
import { bottleneckReduction, type ResNetConfig, resnetConfig } from './config.js';
import { names } from './tensor-names.js';

/** PyTorch's default, which the published models keep. */
const epsilon = 1e-5;
interface LayerShape {
  readonly from: number;
  readonly to: number;
  readonly stride: number;
}

function pieces(config: ResNetConfig): VisionEncoder {
  const { num_channels, image_size, embedding_size, hidden_sizes, depths, downsample_in_first_stage } = config;
  const activate = activations[config.hidden_act];

  function convNorm(x: Value, module: Module, shape: LayerShape & { kernel: number }): Value {
    return conv2dBatchNorm(x, module.at(names.convolution), module.at(names.normalization), {
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
    const inner = to / bottleneckReduction;
    const [early, late] = config.downsample_in_bottleneck ? [stride, 1] : [1, stride];
    const first = activate(convNorm(x, module.at('0'), { from, to: inner, stride: early, kernel: 1 }));
    const second = activate(convNorm(first, module.at('1'), { from: inner, to: inner, stride: late, kernel: 3 }));
    return convNorm(second, module.at('2'), { from: inner, to, stride: 1, kernel: 1 });
  }

  function layer(x: Value, module: Module, shape: LayerShape): Value {
    const changes = shape.from !== shape.to || shape.stride !== 1;
    const shortcut = changes ? convNorm(x, module.at(names.shortcut), { ...shape, kernel: 1 }) : x;
    const residual = (config.layer_type === 'basic' ? basic : bottleneck)(x, module.at(names.residual), shape);
    return activate(add(residual, shortcut));
  }

  function features(pixels: Value, weights: Module): Value {
    const stem = weights.at(names.stem);
    let map = activate(convNorm(pixels, stem, { from: num_channels, to: embedding_size, stride: 2, kernel: 7 }));
    map = maxPool(map, { kernel: 3, stride: 2, padding: 1 });
    let from = embedding_size;
    for (const [stage, to] of hidden_sizes.entries()) {
      for (let index = 0; index < (depths[stage] as number); index++) {
        const stride = index === 0 && (stage > 0 || downsample_in_first_stage) ? 2 : 1;
        const name = names.layer(stage, index);
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
  const inputSize = { height: image_size, width: image_size };
  return {
    section: { inputSize, patches: side * side, width },
    preprocessing: (file) => fixedSizePreprocessing(file, inputSize),
    features,
  };
}

/** ResNet (He et al. 2015) as Hugging Face's ResNetModel; its features are the last map, row by row. */
export const resnet: Family<VisionEncoder> = family(resnetConfig, pieces);
