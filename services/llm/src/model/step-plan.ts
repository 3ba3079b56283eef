import type { TesseraError } from '@tessera/protocol';

/** Visual tokens that stand in a row in place of embeddings. */
export interface MediaRows {
  /** The first of the row's tokens that they stand in for. */
  readonly column: number;
  /** float32 [tokens, hidden]. */
  readonly rows: Float32Array;
}

/** What is done with whole slots of the cache, and with beginnings of sequences that are kept beside them. */
export type CacheOperation =
  /** The first `rows` positions of slot `from` over those of slot `to`. */
  | { readonly type: 'copy'; readonly from: number; readonly to: number; readonly rows: number }
  /** The first `rows` positions of two slots change places. */
  | { readonly type: 'swap'; readonly a: number; readonly b: number; readonly rows: number }
  /** The first `rows` positions of a slot are kept, under an id that is new. */
  | { readonly type: 'keep'; readonly slot: number; readonly rows: number; readonly prefix: number }
  /** What is kept under an id is given up; does nothing where it is not there. */
  | { readonly type: 'drop'; readonly prefix: number };

/** What is put into a slot that a sequence has just got. */
export type CacheLoad =
  /** The first `rows` positions of what is kept. */
  | { readonly type: 'restore'; readonly prefix: number; readonly slot: number; readonly rows: number }
  /** Those of another slot. */
  | Extract<CacheOperation, { type: 'copy' }>;

/** What a step computes of one sequence: its next positions. */
export interface PlannedRow {
  readonly slot: number;
  /** The first of them: so many positions the slot holds already. */
  readonly position: number;
  readonly tokenIds: readonly number[];
  readonly media: readonly MediaRows[];
  /** Of so many of its last positions logits are wanted: at least 1. */
  readonly wantedLogits: number;
  /** Whether final hidden states are wanted. */
  readonly wantsHidden: boolean;
}

/**
 * All that a step does to cache and model, as data: it can be carried out in this thread, in another process or by
 * shards, none of which knows a sequence.
 */
export interface StepPlan {
  readonly cache: {
    /** Done first, in their order. */
    readonly operations: readonly CacheOperation[];
    /** Then there are so many slots, of so many positions, which hold what is there and what the rows add. */
    readonly slots: number;
    readonly positions: number;
    /** Done last, into slots that may be new. */
    readonly loads: readonly CacheLoad[];
    /** Nothing of this is to be done: all is so already, but for what the rows add. For steps that go side by side. */
    readonly isDone?: boolean;
  };
  /** One for each sequence of the step; no two have a slot in common. */
  readonly rows: readonly PlannedRow[];
}

/** What a row gave. The arrays are views, good until as many steps have begun after it as may be under way. */
export interface ComputedRow {
  /** float32 [wantedLogits, vocab], at the row's last positions. */
  readonly logits: Float32Array;
  /** float32 [positions, hidden], after the last norm; empty where it was not wanted. */
  readonly hidden: Float32Array;
}

/** A row of which nothing counts: its slot holds what it held before. */
interface FailedRow {
  readonly error: unknown;
}

/** A row of which nothing counts, since what computes it is not there at the moment. It may be planned again as it was. */
interface VoidRow {
  readonly unavailable: TesseraError;
}

export type RowResult = ComputedRow | FailedRow | VoidRow;

/**
 * Nothing was computed or loaded, since there is no memory for the cache. Slots are where the operations put them and hold
 * what they held; of what was to be kept some may be missing.
 */
export interface NoMemory {
  readonly noMemory: unknown;
}

/**
 * The cache is gone, or a part of it, with whoever held it: nothing of the step counts, and no slot and no beginning that is
 * kept holds anything. Whoever plans begins with an empty cache.
 */
export interface CacheLost {
  readonly cacheLost: TesseraError;
}

/** One result for each row, in their order. */
export type StepResult = { readonly rows: readonly RowResult[] } | NoMemory | CacheLost;
