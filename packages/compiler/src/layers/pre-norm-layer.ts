import { add, type Value } from '../graph/index.js';
import type { AttentionResult, KeyValue } from './causal-self-attention.js';

/** The parts of a decoder layer: [batch, seq, width] to the same, but for the cache that attention has. */
export interface DecoderLayerParts {
  attentionNorm(x: Value): Value;
  attention(x: Value): AttentionResult;
  mlpNorm(x: Value): Value;
  mlp(x: Value): Value;
}

export interface DecoderLayerResult {
  /** [batch, seq, width]. */
  readonly hidden: Value;
  readonly fresh: KeyValue;
  readonly present: KeyValue;
}

/** x + attention(norm(x)), then y + mlp(norm(y)): a decoder layer of LLaMA and its kin. */
export function preNormLayer(x: Value, parts: DecoderLayerParts): DecoderLayerResult {
  const attended = x.graph.scope('attention', () => parts.attention(parts.attentionNorm(x)));
  const residual = add(x, attended.output);
  const hidden = x.graph.scope('mlp', () => add(residual, parts.mlp(parts.mlpNorm(residual))));
  return { hidden, fresh: attended.fresh, present: attended.present };
}
