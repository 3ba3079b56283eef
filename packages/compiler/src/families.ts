import type { Connector, FeatureShape } from './connector/connector.js';
import { pixelShuffleMlp } from './connector/pixel-shuffle-mlp.js';
import type { Generator } from './generator/generator.js';
import { pixart } from './generator/pixart.js';
import type { LanguageModel } from './llm/causal-lm.js';
import { qwen3Moe } from './llm/qwen3-moe.js';
import type { VisionEncoder } from './vision/encoder.js';
import { resnet } from './vision/resnet.js';

/**
 * Families by the model_type of their part of a config. Each opens a config, or says what is wrong with it; `where` is
 * how messages call that part.
 */
export const visionFamilies: Readonly<Record<string, (config: unknown, where: string) => VisionEncoder>> = { resnet };

export const connectorFamilies: Readonly<
  Record<string, (config: unknown, where: string, features: FeatureShape) => Connector>
> = {
  pixel_shuffle_mlp: pixelShuffleMlp,
};

export const llmFamilies: Readonly<Record<string, (config: unknown, where: string) => LanguageModel>> = {
  qwen3_moe: qwen3Moe,
};

export const generatorFamilies: Readonly<Record<string, (config: unknown, where: string) => Generator>> = { pixart };
