import type { KvCacheType } from '@tessera/bundle';
import type { Module } from '../checkpoint/parameters.js';
import { cast, type Value } from '../graph/index.js';
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
  /** What the caches hold. */
  readonly cacheType: KvCacheType;
}

/** One layer's cache, [batch, kvHeads, rows, headDim] each; or the new rows for it, [batch, seq, kvHeads * headDim]. */
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
 *
 * ONNX Runtime's attention takes queries, keys, values and cache of one type. Over a cache of float16 the three are rounded to
 * it, and so is what comes out; on the CPU it widens a head at a time, so no second cache is made.
 */
export function causalSelfAttention(
  { q, k, v }: Projections,
  past: KeyValue,
  { positions, tables, lastPositions, totalLength, cacheType }: AttentionInputs,
  { heads, kvHeads, headDim, window, output }: CausalSelfAttentionOptions,
): AttentionResult {
  const isHalf = cacheType === 'float16';
  const held = (x: Value): Value => (isHalf ? cast(x, 'float16') : x);
  const fresh = { key: held(rotary(k, positions, tables, kvHeads)), value: held(v) };
  const {
    output: attended,
    presentKey,
    presentValue,
  } = groupQueryAttention({
    q: held(rotary(q, positions, tables, heads)),
    k: fresh.key,
    v: fresh.value,
    pastKey: past.key,
    pastValue: past.value,
    lastPositions,
    totalLength,
    heads,
    kvHeads,
    window,
  });
  return {
    output: linear(isHalf ? cast(attended, 'float32') : attended, output.module, {
      from: heads * headDim,
      to: output.width,
      bias: output.bias,
    }),
    fresh,
    present: { key: presentKey, value: presentValue },
  };
}
