import { readFileSync } from 'node:fs';
import { TesseraError } from './errors.js';

/**
 * The serialized google.protobuf.FileDescriptorSet of proto/, imports included: what server reflection answers from.
 * The build writes it beside the generated code; it is found from src/ and from dist/ alike.
 * @throws TesseraError INTERNAL if the build did not write it
 */
export function readDescriptors(): Uint8Array {
  const file = new URL('../src/generated/descriptors.binpb', import.meta.url);
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new TesseraError('INTERNAL', `${file.pathname} cannot be read; run 'npm run generate' to write it`, { cause });
  }
}
