import { microsoft, type Value } from '../graph/index.js';

/** Full attention, every query to every key: q [batch, n, heads * d], k and v [batch, m, heads * d] -> as q. */
export function multiHeadAttention(q: Value, k: Value, v: Value, heads: number): Value {
  return q.graph.node('MultiHeadAttention', [q, k, v], { num_heads: heads }, { domain: microsoft })[0] as Value;
}

/** cos and sin of every position's angles, float32 [positions, headDim / 2] each. */
export interface RotaryTables {
  readonly cos: Value;
  readonly sin: Value;
}

/** Turns x [batch, seq, heads * headDim] by the angles of `positions` int64 [batch, seq]; halves are rotated against each other. */
export function rotary(x: Value, positions: Value, tables: RotaryTables, heads: number): Value {
  const inputs = [x, positions, tables.cos, tables.sin];
  return x.graph.node('RotaryEmbedding', inputs, { num_heads: heads }, { domain: microsoft })[0] as Value;
}

/** ONNX Runtime's grouped-query attention takes heads whose size is a multiple of this. */
export const headDimStep = 8;

export interface CachedAttention {
  /** Of one type, and so are the next four. */
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  /** The cache, [batch, kvHeads, capacity, headDim]. */
  readonly pastKey: Value;
  readonly pastValue: Value;
  /** int32 [batch]: each sequence's length with the new rows, less one. */
  readonly lastPositions: Value;
  /** int32 [1]: the largest length. */
  readonly totalLength: Value;
  readonly heads: number;
  readonly kvHeads: number;
  /** How many positions a query sees, its own among them; absent: all before it. */
  readonly window?: number | undefined;
}

/**
 * Causal attention over a cache: q [batch, seq, heads * d] against what the cache holds and the new k and v
 * [batch, seq, kvHeads * d]. The present is the cache with the new rows in it: of max(capacity, total) rows, or the
 * past buffer itself where the caller binds both to one.
 */
export function groupQueryAttention(options: CachedAttention): {
  output: Value;
  presentKey: Value;
  presentValue: Value;
} {
  const { q, k, v, pastKey, pastValue, lastPositions, totalLength, heads, kvHeads, window } = options;
  const [output, presentKey, presentValue] = q.graph.node(
    'GroupQueryAttention',
    [q, k, v, pastKey, pastValue, lastPositions, totalLength],
    { num_heads: heads, kv_num_heads: kvHeads, ...(window !== undefined && { local_window_size: window }) },
    { domain: microsoft, outputs: 3 },
  );
  return { output: output as Value, presentKey: presentKey as Value, presentValue: presentValue as Value };
}
