import { type ModelInfo, WeightFormat } from '@tessera/protocol';
import type { BundleManifest } from './manifest.js';

const weightFormats = { float32: WeightFormat.FLOAT32, int8: WeightFormat.INT8 } as const;

/** Which model a bundle holds, as services tell it. */
export function modelInfo({ name, revision, weights }: BundleManifest): ModelInfo {
  return { name, revision, weights: weightFormats[weights] };
}
