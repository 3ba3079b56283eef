import type { ConnectorSection, EncoderSection } from '@tessera/bundle';
import type { Module } from '../checkpoint/parameters.js';
import { GraphBuilder, type Value, type WeightPrecision } from '../graph/index.js';

/** What a connector must know of the encoder before it. */
export type FeatureShape = Pick<EncoderSection, 'patches' | 'width'>;

/** The pieces of a connector family, opened with a config. */
export interface Connector {
  /** Its section of the manifest, but for the graph's file. */
  readonly section: Omit<ConnectorSection, 'graph'>;
  /** features [batch, patches, width] -> [batch, tokens, llmWidth]. */
  visualTokens(features: Value, weights: Module): Value;
}

/** connector.onnx: features float32 [batch, patches, width] -> visual_tokens float32 [batch, tokens, llmWidth]. */
export function connectorGraph(connector: Connector, weights: Module, precision: WeightPrecision): GraphBuilder {
  const { patches, width, tokens, llmWidth } = connector.section;
  const g = new GraphBuilder('connector', precision);
  const features = g.input('features', 'float32', ['batch', patches, width]);
  g.output('visual_tokens', connector.visualTokens(features, weights), 'float32', ['batch', tokens, llmWidth]);
  return g;
}
