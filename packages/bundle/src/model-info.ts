import { type ModelInfo, WeightFormat } from '@tessera/protocol';
import type { BundleManifest, WeightKind } from './manifest.js';

/** Blocks of all sizes, with zero points and without, are one format to those who ask. */
function weightFormat(weights: WeightKind): WeightFormat {
  if (weights === 'float32') return WeightFormat.FLOAT32;
  if (weights === 'float16') return WeightFormat.FLOAT16;
  return weights.startsWith('int8') ? WeightFormat.INT8 : WeightFormat.INT4;
}

/** Which model a bundle holds, as services tell it. */
export function modelInfo({ name, revision, weights }: BundleManifest): ModelInfo {
  return { name, revision, weights: weightFormat(weights) };
}
