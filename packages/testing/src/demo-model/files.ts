import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../repository.js';

/** The checkpoint of the default model. */
export const demoModelDir = join(root, 'models/demo');

/** Where compiled models are kept, those of `npm run demo` too. */
export const bundleCacheDir = join(root, '.cache/bundles');

/** The file of one of the model's sample pictures, such as `apple`. */
export function samplePath(name: string): string {
  return join(demoModelDir, 'samples', `${name}.png`);
}

/** The bytes of that file, a PNG. */
export function samplePicture(name: string): Buffer {
  return readFileSync(samplePath(name));
}
