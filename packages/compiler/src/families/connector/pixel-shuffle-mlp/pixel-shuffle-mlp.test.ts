import { type Float32Tensor, tensor } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { Module } from '../../../checkpoint/parameters.js';
import { connectorGraph } from '../../../stages/connector.js';
import { InventedParameters, runGraph } from '../../../testing/run-graph.js';
import { pixelShuffleMlp } from './pixel-shuffle-mlp.js';

const features = { patches: 36, width: 4 };
const config = {
  downsample_ratio: 1 / 3,
  hidden_act: 'gelu',
  in_features: 36,
  out_features: 8,
};

test('a token is made of its own cell of the map, and of no other', async () => {
  const connector = pixelShuffleMlp(config, 'config', features);
  expect(connector.section).toEqual({ patches: 36, width: 4, tokens: 4, llmWidth: 8 });
  const graph = connectorGraph(connector, new Module(new InventedParameters(1)), 'float32');
  const values = Float32Array.from({ length: 36 * 4 }, (_, i) => Math.sin(i * i));
  const changed = Float32Array.from(values);
  // Row 2, column 3 of the map of 6 x 6: the cell at the top on the right.
  changed[(2 * 6 + 3) * 4] = 9;
  const [before, after] = (await runGraph(
    graph,
    'visual_tokens',
    [values, changed].map((data) => ({ features: tensor('float32', [1, 36, 4], data) })),
  )) as [Float32Tensor, Float32Tensor];
  expect(before.shape).toEqual([1, 4, 8]);
  const token = ({ data }: Float32Tensor, index: number) => [...data.subarray(index * 8, (index + 1) * 8)];
  expect([0, 1, 2, 3].filter((index) => `${token(before, index)}` !== `${token(after, index)}`)).toEqual([1]);
});

test.each([
  ['downsample_ratio', { downsample_ratio: 0.4 }],
  ['downsample_ratio', { downsample_ratio: 0.25 }],
  ['in_features', { in_features: 35 }],
  ['hidden_act', { hidden_act: 'selu' }],
  ['ps_version', { ps_version: 'v1' }],
])('a config that asks for what is not built is refused by the field: %s', (field, changes) => {
  expect(() => pixelShuffleMlp({ ...config, ...changes }, 'config', features)).toThrow(`config.${field}: `);
});
