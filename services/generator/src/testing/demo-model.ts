import { fileURLToPath } from 'node:url';
import { type Bundle, readBundle } from '@tessera/bundle';
import { ensureBundle, SafetensorsFile } from '@tessera/compiler';
import { type Float32Tensor, tensor } from '@tessera/protocol';

const root = new URL('../../../../', import.meta.url);

/** The default model's checkpoint. */
const demoDir = fileURLToPath(new URL('models/demo/', root));

/** The default model, compiled. */
export async function demoBundle(): Promise<Bundle> {
  const { dir } = await ensureBundle(demoDir, fileURLToPath(new URL('.cache/bundles', root)), { weights: 'float32' });
  return readBundle(dir);
}

/** A reference tensor: computed in float32 from the same weights by another implementation. */
export async function golden(name: string): Promise<Float32Tensor> {
  const file = await SafetensorsFile.open(`${demoDir}goldens/tensors.safetensors`);
  try {
    return tensor('float32', file.tensors.get(name)?.shape ?? [], await file.read(name));
  } finally {
    await file.close();
  }
}

/** The largest difference over the largest value of the reference. */
export function relativeError(actual: Float32Tensor, reference: Float32Tensor): number {
  if (actual.shape.join() !== reference.shape.join()) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let largest = 0;
  for (const [at, value] of reference.data.entries()) {
    const here = Math.abs((actual.data[at] as number) - value);
    // NaN must not pass for small.
    if (!(here <= difference)) difference = here;
    largest = Math.max(largest, Math.abs(value));
  }
  return difference / largest;
}
