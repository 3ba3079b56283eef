import { type Float32Tensor, tensor } from '@tessera/protocol';
import { relativeErrors } from '@tessera/testing/numbers/relative-error';
import { describe, expect, test } from 'vitest';
import { Module, type ParameterSource } from '../checkpoint/parameters.js';
import { GraphBuilder, type Value, type WeightPrecision } from '../graph/index.js';
import { InventedParameters, runGraph } from '../testing/run-graph.js';
import { conv2d, conv2dBatchNorm, maxPool } from './convolution.js';

const invented = new InventedParameters(1);
/** As InventedParameters has them, but for variances: they are positive. */
const source: ParameterSource = {
  parameter: (name, shape) => {
    const parameter = invented.parameter(name, shape);
    if (!name.endsWith('running_var')) return parameter;
    return { ...parameter, read: async (signal) => (await parameter.read(signal)).map((value) => value + 1.5) };
  },
};
const values = (name: string, ...shape: number[]): Promise<Float32Array> => source.parameter(name, shape).read();

const options = { from: 2, to: 3, kernel: 3, stride: 2, padding: 1 } as const;
const [height, width] = [6, 5] as const;
const picture = Float32Array.from({ length: 2 * height * width }, (_, i) => Math.sin(i * 1.3));

/** What `of` makes of each window, in whose rows and columns `at` finds places of the picture; around it there are none. */
function windows<T>(of: (at: (y: number, x: number) => number | undefined) => T): T[] {
  const { kernel, stride, padding } = options;
  const side = (size: number): number => Math.floor((size + 2 * padding - kernel) / stride) + 1;
  return Array.from({ length: side(height) * side(width) }, (_, i) => {
    const [row, column] = [Math.floor(i / side(width)), i % side(width)];
    const at = (y: number, x: number): number | undefined => {
      const [top, left] = [row * stride - padding + y, column * stride - padding + x];
      return top < 0 || left < 0 || top >= height || left >= width ? undefined : top * width + left;
    };
    return of(at);
  });
}

/** A convolution as it is defined. */
function convolved(weight: Float32Array, bias: Float32Array): Float32Array {
  const { from, to, kernel } = options;
  const channels = Array.from({ length: to }, (_, channel) =>
    windows((at) => {
      let sum = bias[channel] as number;
      for (let c = 0; c < from; c++) {
        for (let y = 0; y < kernel; y++) {
          for (let x = 0; x < kernel; x++) {
            const place = at(y, x);
            const factor = weight[((channel * from + c) * kernel + y) * kernel + x] as number;
            if (place !== undefined) sum += factor * (picture[c * height * width + place] as number);
          }
        }
      }
      return sum;
    }),
  );
  return Float32Array.from(channels.flat());
}

async function run(
  precision: WeightPrecision,
  make: (x: Value) => Value,
): Promise<{ y: Float32Tensor; held: string[] }> {
  const g = new GraphBuilder('convolution', precision);
  const x = g.input('x', 'float32', ['batch', 2, height, width]);
  g.output('y', make(x), 'float32', ['batch', 'channels', 'height', 'width']);
  const held = g.weights.flatMap(({ tensors }) => tensors.map(({ dtype }) => dtype as string));
  const [y] = await runGraph(g, 'y', [{ x: tensor('float32', [1, 2, height, width], picture) }]);
  return { y: y as Float32Tensor, held };
}

/** Kernels are float32 as they are, or of 8 bits, with a scale for each channel. */
const precisions = [
  ['float32', 1e-5, ['float32', 'float32']],
  ['float16', 1e-5, ['float32', 'float32']],
  ['int8', 0.02, ['int8', 'float32', 'float32']],
] as const;

describe.each(precisions)('in %s', (precision, tolerance, types) => {
  test('a convolution with a bias', async () => {
    const { y, held } = await run(precision, (x) => conv2d(x, new Module(source).at('conv'), options));
    expect(held).toEqual(types);
    expect(y.shape).toEqual([1, 3, 3, 3]);
    const expected = convolved(await values('conv.weight', 3, 2, 3, 3), await values('conv.bias', 3));
    expect(relativeErrors(y.data, expected).max).toBeLessThan(tolerance);
  });

  test('a convolution and the norm behind it, which scales and shifts each channel', async () => {
    const epsilon = 0.25;
    const module = new Module(source);
    const { y, held } = await run(precision, (x) =>
      conv2dBatchNorm(x, module.at('conv'), module.at('norm'), { ...options, epsilon }),
    );
    expect(held).toEqual(types);
    const [gamma, beta, mean, variance] = (await Promise.all(
      ['weight', 'bias', 'running_mean', 'running_var'].map((name) => values(`norm.${name}`, 3)),
    )) as [Float32Array, Float32Array, Float32Array, Float32Array];
    const plain = convolved(await values('conv.weight', 3, 2, 3, 3), new Float32Array(3));
    const expected = plain.map((value, i) => {
      const channel = Math.floor(i / 9);
      const [shift, root] = [mean[channel] as number, Math.sqrt((variance[channel] as number) + epsilon)];
      return ((value - shift) / root) * (gamma[channel] as number) + (beta[channel] as number);
    });
    expect(relativeErrors(y.data, expected).max).toBeLessThan(tolerance);
  });
});

test('the largest of each window, of each channel', async () => {
  const { y } = await run('float32', (x) => maxPool(x, options));
  const expected = [0, 1].flatMap((channel) =>
    windows((at) => {
      const places = [0, 1, 2].flatMap((row) => [0, 1, 2].flatMap((column) => at(row, column) ?? []));
      return Math.max(...places.map((place) => picture[channel * height * width + place] as number));
    }),
  );
  expect(y.shape).toEqual([1, 2, 3, 3]);
  expect([...y.data]).toEqual(expected);
});
