import { add, type Value } from '../graph/index.js';
import type { AttentionResult, KeyValue } from './causal-self-attention.js';

/** The parts of a decoder layer's first half: [batch, seq, width] to the same, but for the cache that attention has. */
export interface AttendingParts {
  attentionNorm(x: Value): Value;
  attention(x: Value): AttentionResult;
  mlpNorm(x: Value): Value;
}

/** The cache's new rows, and its next state. */
interface CacheResult {
  readonly fresh: KeyValue;
  readonly present: KeyValue;
}

export interface DecoderLayerResult extends CacheResult {
  /** [batch, seq, width]. */
  readonly hidden: Value;
}

/** A decoder layer as far as its feed-forward part. */
export interface AttendedLayer extends CacheResult {
  /** [batch, seq, width]: what the feed-forward part's answer is added to. */
  readonly residual: Value;
  /** [batch, seq, width]: what the feed-forward part is given. */
  readonly normed: Value;
}

/** y = x + attention(norm(x)), and norm(y): the first half of a decoder layer of LLaMA and its kin. */
export function preNormAttention(x: Value, parts: AttendingParts): AttendedLayer {
  const attended = x.graph.scope('attention', () => parts.attention(parts.attentionNorm(x)));
  const residual = add(x, attended.output);
  const normed = x.graph.scope('mlp', () => parts.mlpNorm(residual));
  return { residual, normed, fresh: attended.fresh, present: attended.present };
}

/** y + mlp(norm(y)): the second half of a decoder layer of LLaMA and its kin. */
export function feedForward(attended: AttendedLayer, mlp: (normed: Value) => Value): DecoderLayerResult {
  const { residual, normed, fresh, present } = attended;
  const hidden = residual.graph.scope('mlp', () => add(residual, mlp(normed)));
  return { hidden, fresh, present };
}
