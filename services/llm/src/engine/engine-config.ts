import type { BoundSessionOptions, InferenceBackend } from '@tessera/inference';
import type { ExpertProvider } from '../model/expert-provider.js';
import type { LayerPieces } from '../model/layer-pieces.js';
import type { EngineLimits } from './engine.js';

/** Enough to make an engine; structured-cloneable. */
export interface EngineConfig {
  /** The bundle's folder. */
  readonly modelDir: string;
  readonly session: BoundSessionOptions;
  readonly limits: EngineLimits;
  /** The chat template that counts: a name, a file, or `none`; absent: the model's own. */
  readonly chatTemplate?: string | undefined;
  /** Where experts are placed; absent: those of the model are here. */
  readonly experts?: ExpertsConfig;
  /** Where layers are in shards; absent: those of the model are here. */
  readonly layers?: LayersConfig;
}

/** How the model came to be computed. */
export interface OpenedBackend {
  readonly backend: InferenceBackend;
  /** Why it is not the better one, where that was wanted. */
  readonly fallbackReason?: string | undefined;
}

/** What an engine must know to call expert shards; structured-cloneable. */
export interface ExpertsConfig {
  readonly placementFile: string;
  readonly rowType: 'float32' | 'float16';
  readonly callTimeoutMs: number;
  readonly hedge: boolean;
  readonly maxMessageBytes: number;
  readonly tls: ShardTlsConfig;
}

/** What an engine must know to call layer shards; structured-cloneable. */
export interface LayersConfig {
  readonly rowType: 'float32' | 'float16';
  readonly stepsAtOnce: number;
  readonly callTimeoutMs: number;
  readonly maxMessageBytes: number;
  readonly tls: ShardTlsConfig;
  /** The fewest positions of cache that any piece has room for; absent: as many as the engine. */
  readonly maxPositions?: number;
}

/** How shards are called over TLS. */
interface ShardTlsConfig {
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly serverName: string | undefined;
  readonly refreshMs: number;
}

/** What the model has elsewhere. */
export interface Elsewhere {
  /** Its experts, where the config places them. */
  readonly experts?: ExpertProvider | undefined;
  /** Its later pieces, where the config has them in shards. */
  readonly layers?: LayerPieces | undefined;
}
