import type { WireError } from '@tessera/inference';
import type { OpenedBackend } from '../engine/create-engine-core.js';
import type { EngineEvent, EngineRequest, EngineStats, TileTokens } from '../engine/engine.js';
import type { MissingExperts } from '../experts/missing-experts.js';
import type { PoolReport } from '../experts/pool-stats.js';
import type { ShardAddress } from '../experts/shard-link.js';

/** To the engine's thread. A call is one submitted request; requests come again under the same id. */
export type EngineCommand =
  | { readonly type: 'submit'; readonly call: number; readonly request: EngineRequest }
  | { readonly type: 'tile'; readonly tile: TileTokens }
  | {
      readonly type: 'failTile';
      readonly requestId: string;
      readonly item: number;
      readonly tile: number | undefined;
      readonly attempt: number;
      readonly error: WireError;
    }
  | {
      readonly type: 'cancel';
      readonly requestId: string;
      readonly attempt: number | undefined;
      readonly error: WireError | undefined;
    }
  /** The expert shards that are there now. */
  | { readonly type: 'shards'; readonly shards: readonly ShardAddress[] }
  /** Tell now what happened at the experts. */
  | { readonly type: 'reportExperts' }
  | { readonly type: 'drain' }
  | { readonly type: 'close' };

/** One thing that happened to a call; `end` and `error` are the last. */
export type CallNews = { readonly call: number } & (
  | { readonly event: EngineEvent }
  | { readonly error: WireError }
  | { readonly end: true }
);

/** From the engine's thread. */
export type EngineNews =
  /** First: the model is loaded. */
  | ({ readonly type: 'opened' } & OpenedBackend)
  /** What one step brought. */
  | { readonly type: 'step'; readonly news: readonly CallNews[]; readonly stats: EngineStats }
  | { readonly type: 'stepFailed'; readonly error: WireError }
  /** What happened at the experts since it was last told. */
  | { readonly type: 'experts'; readonly report: PoolReport }
  /** First of all, where experts are placed, and whenever it changes. */
  | { readonly type: 'expertsMissing'; readonly missing: MissingExperts }
  | { readonly type: 'expertTrouble'; readonly error: WireError }
  | { readonly type: 'drained' };
