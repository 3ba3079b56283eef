import { tensor } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { DeclaredParameters, Module } from '../../../checkpoint/parameters.js';
import { encoderGraph } from '../../../stages/vision-encoder.js';
import { InventedParameters, runGraph } from '../../../testing/run-graph.js';
import { resnet } from './resnet.js';

const config = {
  image_size: 64,
  embedding_size: 8,
  hidden_sizes: [16, 32],
  depths: [1, 2],
  layer_type: 'bottleneck',
  hidden_act: 'relu',
};

test.each([
  [{}, 8 * 8],
  [{ image_size: 50 }, 7 * 7],
  [{ downsample_in_first_stage: true, downsample_in_bottleneck: true }, 4 * 4],
  [{ layer_type: 'basic', depths: [2, 1] }, 8 * 8],
])('with %o the features are as many as it says', async (changes, patches) => {
  const encoder = resnet({ ...config, ...changes }, 'vision_config');
  const { height, width } = encoder.section.inputSize;
  const graph = encoderGraph(encoder, new Module(new PositiveVariances()).at('vision'), 'float32');
  const pixels = Float32Array.from({ length: 3 * height * width }, (_, i) => Math.sin(i));
  const [features] = await runGraph(graph, 'features', [
    { pixel_values: tensor('float32', [1, 3, height, width], pixels) },
  ]);
  expect(encoder.section.patches).toBe(patches);
  expect(features?.shape).toEqual([1, patches, 32]);
  expect(features?.data.every(Number.isFinite)).toBe(true);
});

/** Batch norms divide by the root of a variance. */
class PositiveVariances extends InventedParameters {
  constructor() {
    super(0.5);
  }

  override parameter(name: string, shape: readonly number[]) {
    const parameter = super.parameter(name, shape);
    if (!name.endsWith('running_var')) return parameter;
    return { ...parameter, read: async () => (await parameter.read()).map((value) => value + 1) };
  }
}

test('a bottleneck narrows by four, and only a layer that changes the shape has a shortcut', () => {
  const source = new DeclaredParameters();
  encoderGraph(resnet(config, 'vision_config'), new Module(source), 'float32');
  expect(source.declared.get('encoder.stages.1.layers.0.layer.1.convolution.weight')).toEqual([8, 8, 3, 3]);
  expect(source.declared.has('encoder.stages.1.layers.0.shortcut.convolution.weight')).toBe(true);
  expect(source.declared.has('encoder.stages.1.layers.1.shortcut.convolution.weight')).toBe(false);
});

test('takes the config of ResNet-50 as it is published', () => {
  const published = {
    architectures: ['ResNetForImageClassification'],
    depths: [3, 4, 6, 3],
    downsample_in_first_stage: false,
    embedding_size: 64,
    hidden_act: 'relu',
    hidden_sizes: [256, 512, 1024, 2048],
    id2label: { 0: 'tench, Tinca tinca' },
    label2id: { 'tench, Tinca tinca': 0 },
    layer_type: 'bottleneck',
    model_type: 'resnet',
    num_channels: 3,
    out_features: ['stage4'],
    out_indices: [4],
    stage_names: ['stem', 'stage1', 'stage2', 'stage3', 'stage4'],
    torch_dtype: 'float32',
    transformers_version: '4.18.0.dev0',
  };
  expect(resnet(published, 'config').section).toEqual({
    inputSize: { height: 224, width: 224 },
    patches: 49,
    width: 2048,
  });
});

test.each([
  ['num_channels', { num_channels: 1 }],
  ['layer_type', { layer_type: 'preact' }],
  ['hidden_act', { hidden_act: 'selu' }],
  ['depths.0', { depths: [0, 2] }],
  ['hidden_sizes', { depths: [1, 2, 1] }],
  ['hidden_sizes', { hidden_sizes: [18, 32] }],
  ['out_features', { out_features: ['stage1', 'stage2'] }],
  ['out_indices', { out_indices: [1] }],
  ['downsample_in_bottleneck', { downsample_in_bottleneck: 'yes' }],
])('a config that asks for what is not built is refused by the field: %s', (field, changes) => {
  expect(() => resnet({ ...config, ...changes }, 'config')).toThrow(`config.${field}: `);
});
