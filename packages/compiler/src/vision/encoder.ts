import type { Module } from '../checkpoint/parameters.js';
import { GraphBuilder, type Value, type WeightPrecision } from '../graph/index.js';

/** A vision family, opened with a config. */
export interface VisionEncoder {
  readonly inputSize: { readonly height: number; readonly width: number };
  readonly channels: number;
  /** Feature vectors of one view, and their width. */
  readonly patches: number;
  readonly width: number;
  /** pixels [batch, channels, height, width] -> [batch, patches, width]. */
  features(pixels: Value, weights: Module): Value;
}

/** encoder.onnx: pixel_values float32 [batch, channels, height, width] -> features float32 [batch, patches, width]. */
export function encoderGraph(encoder: VisionEncoder, weights: Module, precision: WeightPrecision): GraphBuilder {
  const { inputSize, channels, patches, width } = encoder;
  const g = new GraphBuilder('encoder', precision);
  const pixels = g.input('pixel_values', 'float32', ['batch', channels, inputSize.height, inputSize.width]);
  g.output('features', encoder.features(pixels, weights), 'float32', ['batch', patches, width]);
  return g;
}
