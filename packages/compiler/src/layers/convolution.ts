import type { Module } from '../checkpoint/parameters.js';
import type { Value } from '../graph/index.js';
import { blocksOf } from './block-weights.js';
import { quantizeChannels } from './quantize.js';

export interface ConvolutionOptions {
  readonly from: number;
  readonly to: number;
  /** Height and width of the kernel. */
  readonly kernel: number;
  readonly stride: number;
  /** Zeros around the picture on each side. */
  readonly padding: number;
}

interface Kernel {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** A convolution whose kernel and bias `load` makes; where it is rounded, the kernel has 8 bits and one scale for each output channel. */
function convolve(
  x: Value,
  name: string,
  { from, to, kernel, stride, padding }: ConvolutionOptions,
  load: (signal?: AbortSignal) => Promise<Kernel>,
): Value {
  const g = x.graph;
  const shape = [to, from, kernel, kernel];
  const bias = { dtype: 'float32', shape: [to] } as const;
  const attributes = {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
  };
  if (blocksOf(g.precision) === undefined) {
    const inputs = g.weightGroup([name, `${name}:bias`], [{ dtype: 'float32', shape }, bias], async (signal) => {
      const folded = await load(signal);
      return [folded.weight, folded.bias];
    });
    return g.node('Conv', [x, ...inputs], attributes)[0] as Value;
  }
  const [values, scales, offsets] = g.weightGroup(
    [`${name}:int8`, `${name}:scales`, `${name}:bias`],
    [{ dtype: 'int8', shape }, { dtype: 'float32', shape: [to] }, bias],
    async (signal) => {
      const folded = await load(signal);
      const quantized = quantizeChannels(folded.weight, to);
      return [quantized.values, quantized.scales, folded.bias];
    },
  );
  const weight = g.node('DequantizeLinear', [values, scales], { axis: 0 })[0];
  return g.node('Conv', [x, weight, offsets], attributes)[0] as Value;
}

/** x [batch, from, h, w] -> [batch, to, h', w'] by the module's `weight` and `bias`. */
export function conv2d(x: Value, module: Module, options: ConvolutionOptions): Value {
  const { from, to, kernel } = options;
  const weight = module.parameter('weight', [to, from, kernel, kernel]);
  const bias = module.parameter('bias', [to]);
  return convolve(x, weight.name, options, async (signal) => ({
    weight: await weight.read(signal),
    bias: await bias.read(signal),
  }));
}

/**
 * A convolution without bias and the batch normalisation after it, as one convolution: with fixed statistics the norm
 * is a scale and a shift for each output channel, which the kernel can carry.
 */
export function conv2dBatchNorm(
  x: Value,
  convolution: Module,
  normalization: Module,
  options: ConvolutionOptions & { readonly epsilon: number },
): Value {
  const { from, to, kernel, epsilon } = options;
  const weight = convolution.parameter('weight', [to, from, kernel, kernel]);
  const statistics = ['weight', 'bias', 'running_mean', 'running_var'].map((name) =>
    normalization.parameter(name, [to]),
  );
  return convolve(x, weight.name, options, async (signal) => {
    const [gamma, beta, mu, sigma2] = await Promise.all(statistics.map((parameter) => parameter.read(signal)));
    const folded = await weight.read(signal);
    const bias = new Float32Array(to);
    const size = folded.length / to;
    for (let channel = 0; channel < to; channel++) {
      const factor = at(gamma, channel) / Math.sqrt(at(sigma2, channel) + epsilon);
      bias[channel] = at(beta, channel) - at(mu, channel) * factor;
      for (let i = channel * size; i < (channel + 1) * size; i++) folded[i] = (folded[i] as number) * factor;
    }
    return { weight: folded, bias };
  });
}

const at = (values: Float32Array | undefined, index: number): number => values?.[index] as number;

export function maxPool(x: Value, options: { kernel: number; stride: number; padding: number }): Value {
  const { kernel, stride, padding } = options;
  const attributes = {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
  };
  return x.graph.node('MaxPool', [x], attributes)[0] as Value;
}
