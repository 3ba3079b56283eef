import type { FinishReason, Float32Tensor, ModalityTokens, StageWork, TesseraError } from '@tessera/protocol';
import type { ConstraintProgram } from '../constraint/constraint-program.js';
import type { Prompt } from '../prompt/prompt.js';
import type { SamplingOptions } from '../sampling/sampling-options.js';
import type { TokenLikelihood } from '../sampling/token-likelihood.js';

/** One answer to be written. */
export interface EngineRequest {
  readonly requestId: string;
  /** A request sent again with a higher attempt replaces the lower one. */
  readonly attempt: number;
  readonly prompt: Prompt;
  /** What stands at each of the prompt's positions: see contentKeys. */
  readonly contentKeys: readonly number[];
  /** Those with a higher one go first, and may take the slots of others. */
  readonly priority: number;
  /** Who asks: clients get their turns evenly. */
  readonly client: string;
  /** Positions are taken from sequences of the same scope only. */
  readonly cacheScope: string;
  /** Whether tiles are made only once the engine asks for them: it does so at once for those that it needs. */
  readonly tilesOnDemand: boolean;
  readonly sampling: SamplingOptions;
  /** The most tokens to write, forced ones included; the context may allow fewer. */
  readonly maxTokens: number;
  /** The answer ends before any of these texts. */
  readonly stops: readonly string[];
  /** The answer ends before any of these tokens, as before the model's own end tokens. */
  readonly stopTokenIds: readonly number[];
  /** The form that the answer has; undefined: any. */
  readonly form: ConstraintProgram | undefined;
  /** Tokens that the answer begins with, whose text the client has: it goes on after them, and they are not given out again. */
  readonly forcedTokenIds: readonly number[];
  /**
   * Drawings that are not given out again: an earlier attempt did, and their jobs are not lost. A forced token that
   * asks for any other has its drawing given out when it is computed.
   */
  readonly queuedDrawings: number;
  /** Whether an engine had admitted it before: then it is not refused as one that comes new, and goes before those. */
  readonly isTakeover: boolean;
  /** Unix milliseconds. */
  readonly deadlineMs: number;
}

/** The visual tokens of one tile. */
export interface TileTokens {
  readonly requestId: string;
  readonly item: number;
  readonly tile: number;
  /** float32 [tokens, hidden]. */
  readonly tokens: Float32Tensor;
  /** What the stages before measured; handed on in the event. */
  readonly timings: readonly StageWork[];
}

/** Media whose visual tokens cannot be made. */
export interface TileFailure {
  readonly requestId: string;
  readonly item: number;
  /** Absent: the whole item. */
  readonly tile?: number | undefined;
  /** Of the job that failed. */
  readonly attempt: number;
  readonly error: TesseraError;
}

/** What an engine measured of a sequence, in milliseconds. */
export interface SequenceTiming {
  /** Waiting for a slot. */
  readonly queueMs: number;
  /** From the first prefill chunk to the first token, waits for tiles included. */
  readonly prefillMs: number;
  /** From the first token to the last. */
  readonly decodeMs: number;
}

export type EngineEvent =
  /** First; the prompt is taken in. */
  | {
      readonly type: 'admitted';
      readonly promptTokens: number;
      /** Of them, those that would be taken from the cache now. */
      readonly cachedTokens: number;
      readonly byModality: readonly ModalityTokens[];
    }
  | {
      readonly type: 'tileArrived';
      readonly item: number;
      readonly tile: number;
      readonly tokens: number;
      readonly timings: readonly StageWork[];
    }
  /** The tile did not come in time: have it made again. */
  | { readonly type: 'tileNeeded'; readonly item: number; readonly tile: number }
  | { readonly type: 'prefillStarted' }
  /** Ids, and exactly their text: no character and no possible stop text is ever cut. Special tokens have no text. */
  | {
      readonly type: 'tokens';
      readonly tokenIds: readonly number[];
      readonly text: string;
      /** How likely each of them was, where the request asks for it. */
      readonly likelihoods?: readonly TokenLikelihood[];
    }
  /**
   * The model asks for a drawing. Comes before the tokens event of the token that asks, so whoever has that token
   * knows that the drawing was asked for; and before any token when a forced one asks. Condition: float32 [up to the window's rows, hidden].
   */
  | { readonly type: 'drawing'; readonly drawing: number; readonly condition: Float32Tensor }
  /** Last. */
  | {
      readonly type: 'finished';
      readonly reason: FinishReason;
      readonly completionTokens: number;
      /** Positions of the prompt that were taken from the cache. */
      readonly cachedTokens: number;
      readonly timing: SequenceTiming;
    };

/** What an engine is doing. Totals count since its start. */
export interface EngineStats {
  /** Sequences with a slot. */
  readonly running: number;
  /** Sequences that have all that they need but a slot. */
  readonly waiting: number;
  /** Sequences without a slot that wait for tiles. */
  readonly waitingForTiles: number;
  readonly slotsInUse: number;
  /** Bytes of the cache that those with a slot can come to need, as a share of what it may take: 0 to 1. */
  readonly cacheUsage: number;
  /** Bytes that the cache holds, those of kept beginnings included. */
  readonly cacheBytes: number;
  /** Bytes of beginnings that are kept of sequences that have left: given up as soon as running ones need the room. */
  readonly keptBytes: number;
  /** When a place comes free for one who is refused now, by a guess. */
  readonly retryAfterMs: number;
  /** Tiles held for prompts that are not computed yet. */
  readonly heldTiles: number;
  readonly steps: number;
  /** Time spent computing. */
  readonly busyMs: number;
  readonly prefillTokens: number;
  /** Prompt positions that were taken from the cache. */
  readonly cachedTokens: number;
  readonly decodeTokens: number;
  /** Tokens that were guessed and verified, and those of them that were right: these are decode tokens too. */
  readonly proposedTokens: number;
  readonly acceptedTokens: number;
  /** Sequences that lost their slot to another. */
  readonly preemptions: number;
  /** How often the cache was lost with whoever held a part of it. */
  readonly cacheLosses: number;
}

/** What an engine may hold, and how long it waits. */
export interface EngineLimits {
  readonly maxRunning: number;
  readonly maxWaiting: number;
  readonly maxWaitingForTiles: number;
  readonly maxTakeovers: number;
  readonly maxStepTokens: number;
  readonly maxChunkTokens: number;
  /** Bytes of KV cache; absent: half of the memory that the model's weights leave to the process. */
  readonly kvBytes?: number | undefined;
  /** Whether beginnings of sequences are kept, and used for others that begin alike. */
  readonly reusePrefixes: boolean;
  /** A tile that has not come after this is asked for; again after pauses that grow, until the request's deadline. */
  readonly tileTimeoutMs: number;
  /** Drawings of one answer; the model's further wishes are passed over. */
  readonly maxDrawings: number;
  /** Tokens that are guessed at most for one step of a sequence that decodes alone; 0: none. */
  readonly speculativeTokens: number;
  /** Tokens that must have stood in prompt or answer before for a guess to be made: from 1 to 8. */
  readonly speculationNgram: number;
}

export interface CancelOptions {
  /** Absent: whichever is running. */
  readonly attempt?: number;
  /** What the request ends with; by default CANCELLED. */
  readonly reason?: TesseraError;
}

/** An LLM engine, in this thread or in another. */
export interface Engine {
  /**
   * Admits at once, not at the first `next`. The iteration throws TesseraError: QUEUE_FULL with a delay, DRAINING,
   * REQUEST_INVALID, DEADLINE_EXCEEDED, CANCELLED, STAGE_UNAVAILABLE, INTERNAL, or what `failTile` said. Leaving the
   * loop early cancels.
   */
  submit(request: EngineRequest): AsyncIterable<EngineEvent>;
  /** Ignored when nobody waits for the tile. */
  provideTile(tile: TileTokens): void;
  failTile(failure: TileFailure): void;
  /** Takes effect at the next step; ignored for an unknown request, and for another attempt than one that is named. */
  cancel(requestId: string, options?: CancelOptions): void;
  stats(): EngineStats;
  /** Takes no more requests; resolves when those it has are finished. */
  drain(): Promise<void>;
  /** Ends every request with CANCELLED and frees the model. */
  close(): Promise<void>;
}
