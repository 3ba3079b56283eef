import { TesseraError } from '@tessera/protocol';
import type { Module } from '../../../checkpoint/parameters.js';
import { reshape, transpose, type Value } from '../../../graph/index.js';
import { activations, layerNorm, linear } from '../../../layers/index.js';
import type { Connector, FeatureShape } from '../../../stages/connector.js';
import { type Family, family } from '../../family.js';
import { type PixelShuffleMlpConfig, pixelShuffleMlpConfig } from './config.js';
import { names } from './tensor-names.js';

function pieces(config: PixelShuffleMlpConfig, where: string, { patches, width }: FeatureShape): Connector {
  const { in_features, out_features } = config;
  const factor = Math.round(1 / config.downsample_ratio);
  const cells = Math.sqrt(patches) / factor;
  const problem = (field: string, message: string): TesseraError =>
    new TesseraError('CHECKPOINT_INVALID', `${where}.${field}: ${message}`);
  if (!Number.isInteger(cells)) {
    throw problem('downsample_ratio', `cells of ${factor}x${factor} do not fit ${patches} features`);
  }
  if (in_features !== width * factor * factor) {
    throw problem('in_features', `is not ${factor}x${factor} features of width ${width}`);
  }

  function visualTokens(x: Value, weights: Module): Value {
    const grid = reshape(x, [-1, cells, factor, cells, factor, width]);
    const shuffled = reshape(transpose(grid, [0, 1, 3, 2, 4, 5]), [-1, cells * cells, in_features]);
    const normed = layerNorm(shuffled, weights.at(names.norm), in_features, config.layer_norm_eps);
    const inner = linear(normed, weights.at(names.inner), { from: in_features, to: out_features, bias: true });
    const outer = { from: out_features, to: out_features, bias: true };
    return linear(activations[config.hidden_act](inner), weights.at(names.outer), outer);
  }

  return { section: { patches, width, tokens: cells * cells, llmWidth: out_features }, visualTokens };
}

/**
 * Pixel shuffle and a two-layer perceptron, as InternVL has it: a square map of features becomes cells of
 * `factor` x `factor`, and the vectors of a cell, row by row, one long vector for one visual token.
 */
export const pixelShuffleMlp: Family<Connector, [FeatureShape]> = family(pixelShuffleMlpConfig, pieces);
