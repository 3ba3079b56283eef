import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import { ofNoMatter, parseConfig, positive } from '../config.js';

/** Rows and columns of a weight that share a scale, where scales are neither of the tensor nor of a row. */
export type ScaledTile = readonly [rows: number, columns: number];

/** What DeepSeek's and Qwen's float8 checkpoints have, and those who say nothing. */
const usualTile: ScaledTile = [128, 128];

const tile = z.tuple([positive, positive]);
const withMethod = z.looseObject({ quant_method: z.string() });

/** How activations are rounded is of no matter here: they are not. */
const float8 = z.object({
  fmt: z.literal('e4m3', 'is not read; e4m3 is').nullish(),
  weight_block_size: tile.nullish(),
  activation_scheme: ofNoMatter,
});

/** Some files say at length that they ask for nothing. */
const nothing = z
  .unknown()
  .refine((value) => Object.keys(Object(value)).length === 0 || Object(value).format === 'dense', 'is not supported')
  .optional();

const compressedTensors = z.object({
  format: z.enum(['float-quantized', 'naive-quantized'], 'is not read; float-quantized is'),
  config_groups: z.record(
    z.string(),
    z.looseObject({
      weights: z.looseObject({
        num_bits: z.literal(8, 'is not read; 8 is'),
        type: z.literal('float', 'is not read; float is'),
        strategy: z.enum(['tensor', 'channel', 'block'], 'is not read; tensor, channel and block are'),
        block_structure: tile.nullish(),
      }),
    }),
  ),
  sparsity_config: nothing,
  transform_config: nothing,
});

/**
 * The tile of weights that shares a scale, by the quantization_config of a config.json.
 * @throws TesseraError CHECKPOINT_INVALID naming a method, or a field of it, that is not understood
 */
export function scaledTileOf(config: unknown): ScaledTile {
  const { quantization_config: found } = Object(config) as { quantization_config?: unknown };
  if (found === undefined || found === null) return usualTile;
  const where = 'config.json.quantization_config';
  const { quant_method: method } = parseConfig(withMethod, found, where);
  if (method === 'fp8' || method === 'fbgemm_fp8')
    return parseConfig(float8, found, where).weight_block_size ?? usualTile;
  if (method === 'compressed-tensors') {
    const groups = Object.values(parseConfig(compressedTensors, found, where).config_groups);
    const tiles = groups.map(({ weights }) => weights.block_structure ?? usualTile);
    if (tiles.every((one) => one.join() === tiles[0]?.join())) return tiles[0] ?? usualTile;
    throw new TesseraError('CHECKPOINT_INVALID', `${where}.config_groups: blocks of different sizes are not supported`);
  }
  const known =
    'fp8 and compressed-tensors (float-quantized) are read; take the model as it was before it was quantised';
  throw new TesseraError('CHECKPOINT_INVALID', `${where}: is not supported: its weights are of ${method}; ${known}`);
}

/** A config.json without what it says of quantisation, which is of files, not of a family. */
export function withoutQuantization(config: unknown): unknown {
  scaledTileOf(config);
  if (typeof config !== 'object' || config === null || Array.isArray(config)) return config;
  const { quantization_config: _, ...rest } = config as Record<string, unknown>;
  return rest;
}
