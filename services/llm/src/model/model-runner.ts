import type { KvStorage } from '../kv/kv-storage.js';

/** Visual tokens that stand in a chunk in place of embeddings. */
export interface MediaRows {
  /** The chunk's first column that they fill. */
  readonly column: number;
  /** float32 [rows, hidden]. */
  readonly rows: Float32Array;
}

/** Some positions of one prompt, next after those the slot holds. */
export interface PrefillChunk {
  readonly slot: number;
  /** Rows the slot holds already: the chunk's first position. */
  readonly position: number;
  readonly tokenIds: readonly number[];
  readonly media: readonly MediaRows[];
}

/** What a chunk gave. The arrays are views, good until the next call. */
export interface PrefillResult {
  /** float32 [vocab], at the chunk's last position. */
  readonly logits: Float32Array;
  /** float32 [positions, hidden], final hidden states; empty where the runner was not asked for them. */
  readonly hidden: Float32Array;
}

/** One token for each of the slots 0 to tokenIds.length - 1. */
export interface DecodeBatch {
  readonly tokenIds: readonly number[];
  /** Rows each slot holds: the token's position. */
  readonly positions: readonly number[];
}

/** What a decode step gave. The arrays are views, good until the next call. */
export interface DecodeResult {
  /** float32 [batch, vocab]. */
  readonly logits: Float32Array;
  /** float32 [batch, hidden]; empty where the runner was not asked for them. */
  readonly hidden: Float32Array;
}

/**
 * Executes steps of one model and owns its cache's memory. The caller has the cache fit the step's rows before it; new
 * rows are in the cache when a call returns. One process, a chain of layer shards, or a set of experts elsewhere: the
 * engine does not know which.
 */
export interface ModelRunner {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly kv: KvStorage;
  /** Chunks of different sequences; results in their order. */
  prefill(chunks: readonly PrefillChunk[]): Promise<readonly PrefillResult[]>;
  decode(batch: DecodeBatch): Promise<DecodeResult>;
  release(): Promise<void>;
}
