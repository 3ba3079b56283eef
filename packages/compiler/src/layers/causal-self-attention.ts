import type { Module } from '../checkpoint/parameters.js';
import type { Value } from '../graph/index.js';
import { groupQueryAttention, type RotaryTables, rotary } from './attention.js';
import { linear } from './linear.js';

/** What every layer's attention shares in one run of the graph. */
export interface AttentionInputs {
  /** int64 [batch, seq]. */
  readonly positions: Value;
  readonly tables: RotaryTables;
  /** int32 [batch] and int32 [1]: see causalLmGraph. */
  readonly lastPositions: Value;
  readonly totalLength: Value;
}

/** One layer's cache, float32 [batch, kvHeads, rows, headDim] each; or the new rows for it, [batch, seq, kvHeads * headDim]. */
export interface KeyValue {
  readonly key: Value;
  readonly value: Value;
}

/** What a layer's attention makes of [batch, seq, width]: as much again, and the cache's new rows and next state. */
export interface AttentionResult {
  readonly output: Value;
  readonly fresh: KeyValue;
  readonly present: KeyValue;
}

/** q [batch, seq, heads * headDim], k and v [batch, seq, kvHeads * headDim], before rotation. */
export interface Projections {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
}

export interface CausalSelfAttentionOptions {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** See CachedAttention. */
  readonly window?: number | undefined;
  /** The linear layer from the heads back to the model's width. */
  readonly output: { readonly module: Module; readonly width: number; readonly bias: boolean };
}

/**
 * Grouped-query attention over a cache with rotary positions, as LLaMA and its kin have it. How q, k and v come about
 * (biases, norms, one matrix or three) is the family's.
 */
export function causalSelfAttention(
  { q, k, v }: Projections,
  past: KeyValue,
  { positions, tables, lastPositions, totalLength }: AttentionInputs,
  { heads, kvHeads, headDim, window, output }: CausalSelfAttentionOptions,
): AttentionResult {
  const turnedKey = rotary(k, positions, tables, kvHeads);
  const {
    output: attended,
    presentKey,
    presentValue,
  } = groupQueryAttention({
    q: rotary(q, positions, tables, heads),
    k: turnedKey,
    v,
    pastKey: past.key,
    pastValue: past.value,
    lastPositions,
    totalLength,
    heads,
    kvHeads,
    window,
  });
  return {
    output: linear(attended, output.module, { from: heads * headDim, to: output.width, bias: output.bias }),
    fresh: { key: turnedKey, value: v },
    present: { key: presentKey, value: presentValue },
  };
}
