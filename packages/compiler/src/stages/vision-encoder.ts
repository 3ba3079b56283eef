import type { EncoderSection, Preprocessing } from '@tessera/bundle';
import type { Module } from '../checkpoint/parameters.js';
import { GraphBuilder, type Value, type WeightPrecision } from '../graph/index.js';

/** The pieces of a vision family, opened with a config. */
export interface VisionEncoder {
  /** Its section of the manifest, but for the graph's file. */
  readonly section: Omit<EncoderSection, 'graph'>;
  /**
   * What its published preprocessor_config.json, parsed, asks for.
   * @throws TesseraError CHECKPOINT_INVALID that names each field that is missing, wrong or not supported
   */
  preprocessing(file: unknown): Preprocessing;
  /** pixels [batch, 3, height, width] -> [batch, patches, width]. */
  features(pixels: Value, weights: Module): Value;
}

/** encoder.onnx: pixel_values float32 [batch, 3, height, width] -> features float32 [batch, patches, width]. */
export function encoderGraph(encoder: VisionEncoder, weights: Module, precision: WeightPrecision): GraphBuilder {
  const { inputSize, patches, width } = encoder.section;
  const g = new GraphBuilder('encoder', precision);
  const pixels = g.input('pixel_values', 'float32', ['batch', 3, inputSize.height, inputSize.width]);
  g.output('features', encoder.features(pixels, weights), 'float32', ['batch', patches, width]);
  return g;
}
