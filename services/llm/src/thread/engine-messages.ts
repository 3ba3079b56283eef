import type { WireError } from '@tessera/inference';
import type { EngineEvent, EngineRequest, EngineStats, TileTokens } from '../engine/engine.js';
import type { OpenedBackend } from '../engine/engine-config.js';
import type { MissingExperts } from '../experts/missing-experts.js';
import type { PoolReport } from '../experts/pool-stats.js';
import type { ShardAddress } from '../experts/shard-link.js';
import type { LayerShardAddress } from '../layers/layer-link.js';
import type { LinksReport, MissingPieces } from '../layers/layer-links.js';

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
  /** The layer shards that are there now. */
  | { readonly type: 'layerShards'; readonly shards: readonly LayerShardAddress[] }
  /** Tell now what happened at the shards. */
  | { readonly type: 'report' }
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
  /** What happened at the layer shards since it was last told. */
  | { readonly type: 'layers'; readonly report: LinksReport }
  /** First of all, where layers are in shards, and whenever it changes. */
  | { readonly type: 'layersMissing'; readonly missing: MissingPieces }
  | { readonly type: 'layerTrouble'; readonly error: WireError }
  /** No step may come for a while, so it brings the figures along. */
  | { readonly type: 'cacheLost'; readonly error: WireError; readonly stats: EngineStats }
  | { readonly type: 'drained' };
