import { type ModelInfo, WeightFormat } from '@tessera/protocol';
import type { BundleManifest, WeightKind } from './manifest.js';

const weightFormats: Readonly<Record<WeightKind, WeightFormat>> = {
  float32: WeightFormat.FLOAT32,
  int8: WeightFormat.INT8,
  int4: WeightFormat.INT4,
};

/** Which model a bundle holds, as services tell it. */
export function modelInfo({ name, revision, weights }: BundleManifest): ModelInfo {
  return { name, revision, weights: weightFormats[weights] };
}
