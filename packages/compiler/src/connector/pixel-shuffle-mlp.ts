import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import type { Module } from '../checkpoint/parameters.js';
import { parseConfig, positive } from '../config.js';
import { activationName, activations, layerNorm, linear, reshape, transpose, type Value } from '../graph/index.js';
import type { Connector, FeatureShape } from './connector.js';

const pixelShuffleConfig = z.object({
  downsample_ratio: z.number().positive().max(1),
  layer_norm_eps: z.number().positive().default(1e-5),
  hidden_act: activationName,
  in_features: positive,
  out_features: positive,
});

/**
 * Pixel shuffle and a two-layer perceptron, as InternVL has it: a square map of features becomes cells of
 * `factor` x `factor`, and the vectors of a cell, row by row, one long vector for one visual token.
 */
export function pixelShuffleMlp(config: unknown, where: string, features: FeatureShape): Connector {
  const { downsample_ratio, layer_norm_eps, hidden_act, in_features, out_features } = parseConfig(
    pixelShuffleConfig,
    config,
    where,
  );
  const factor = Math.round(1 / downsample_ratio);
  const side = Math.sqrt(features.patches);
  const cells = side / factor;
  if (!Number.isInteger(cells) || in_features !== features.width * factor * factor) {
    throw new TesseraError(
      'CHECKPOINT_INVALID',
      `${where}: cells of ${factor}x${factor} and in_features ${in_features} do not fit ${features.patches} features of width ${features.width}`,
    );
  }

  function visualTokens(x: Value, weights: Module): Value {
    const grid = reshape(x, [-1, cells, factor, cells, factor, features.width]);
    const shuffled = reshape(transpose(grid, [0, 1, 3, 2, 4, 5]), [-1, cells * cells, in_features]);
    const normed = layerNorm(shuffled, weights.at('layer_norm'), in_features, layer_norm_eps);
    const inner = linear(normed, weights.at('linear_1'), { from: in_features, to: out_features, bias: true });
    const outer = { from: out_features, to: out_features, bias: true };
    return linear(activations[hidden_act](inner), weights.at('linear_2'), outer);
  }

  return { ...features, tokens: cells * cells, llmWidth: out_features, visualTokens };
}
