import type { Module } from '../checkpoint/parameters.js';
import { GraphBuilder, type Value, type WeightPrecision } from '../graph/index.js';

/** What a connector must know of the encoder before it. */
export interface FeatureShape {
  readonly patches: number;
  readonly width: number;
}

/** A connector family, opened with a config. */
export interface Connector extends FeatureShape {
  /** Visual tokens of one view, and their width, which is the LLM's. */
  readonly tokens: number;
  readonly llmWidth: number;
  /** features [batch, patches, width] -> [batch, tokens, llmWidth]. */
  visualTokens(features: Value, weights: Module): Value;
}

/** connector.onnx: features float32 [batch, patches, width] -> visual_tokens float32 [batch, tokens, llmWidth]. */
export function connectorGraph(connector: Connector, weights: Module, precision: WeightPrecision): GraphBuilder {
  const { patches, width, tokens, llmWidth } = connector;
  const g = new GraphBuilder('connector', precision);
  const features = g.input('features', 'float32', ['batch', patches, width]);
  g.output('visual_tokens', connector.visualTokens(features, weights), 'float32', ['batch', tokens, llmWidth]);
  return g;
}
