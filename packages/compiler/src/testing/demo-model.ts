import { type Bundle, type KvCacheType, readBundle } from '@tessera/bundle';
import { type Float32Tensor, tensor } from '@tessera/protocol';
import { bundleCacheDir, demoModelDir } from '@tessera/testing/demo-model/files';
import { SafetensorsFile } from '../checkpoint/safetensors.js';
import type { Cut } from '../cut.js';
import { ensureBundle } from '../ensure-bundle.js';
import type { WeightPrecision } from '../graph/index.js';

/** The folder of the default model, compiled. */
export async function demoBundleDir(
  weights: WeightPrecision = 'float32',
  cut?: Cut,
  kvCache?: KvCacheType,
): Promise<string> {
  return (await ensureBundle(demoModelDir, bundleCacheDir, { weights, cut, kvCache })).dir;
}

/** The default model, compiled. */
export async function demoBundle(weights: WeightPrecision = 'float32', cut?: Cut): Promise<Bundle> {
  return readBundle(await demoBundleDir(weights, cut));
}

/** The reference tensors: computed in float32 from the same weights by another implementation. */
export function openGoldens(): Promise<SafetensorsFile> {
  return SafetensorsFile.open(`${demoModelDir}/goldens/tensors.safetensors`);
}

/** One reference tensor, such as `apple.visual_tokens`. */
export async function goldenTensor(name: string): Promise<Float32Tensor> {
  const file = await openGoldens();
  try {
    return tensor('float32', file.tensors.get(name)?.shape ?? [], await file.read(name));
  } finally {
    await file.close();
  }
}
