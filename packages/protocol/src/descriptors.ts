import { readFileSync } from 'node:fs';
import { TesseraError } from './errors.js';
import { healthDescriptor } from './health-descriptor.js';

/**
 * The serialized google.protobuf.FileDescriptorSet of proto/ and of the standard health service, imports included: what
 * server reflection answers from. The build writes it beside the generated code; it is found from src/ and from dist/ alike.
 * @throws TesseraError INTERNAL if the build did not write it
 */
export function readDescriptors(): Uint8Array {
  const file = new URL('../generated/descriptors.binpb', import.meta.url);
  try {
    // Two sets written one after the other are one set: protobuf joins the parts of a repeated field.
    return Buffer.concat([readFileSync(file), healthDescriptor()]);
  } catch (cause) {
    throw new TesseraError('INTERNAL', `${file.pathname} cannot be read; run 'npm run generate' to write it`, {
      cause,
    });
  }
}
