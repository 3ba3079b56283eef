import type { EncoderSection } from '@tessera/bundle';
import type { GraphPorts } from '@tessera/inference';

/** The encoder's graph: one tile's pixels [3, height, width], preprocessed, in, its features [patches, width] out. */
export function encoderPorts({ inputSize, patches, width }: Omit<EncoderSection, 'graph'>): GraphPorts {
  return {
    input: { name: 'pixel_values', shape: [3, inputSize.height, inputSize.width] },
    output: { name: 'features', shape: [patches, width] },
  };
}
