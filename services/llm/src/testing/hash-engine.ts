import { Constraints } from '../constraint/constraints.js';
import { TokenTrie } from '../constraint/token-trie.js';
import type { EngineLimits, EngineRequest } from '../engine/engine.js';
import type { EngineCoreOptions } from '../engine/engine-core.js';
import type { ModelExecutor } from '../model/model-executor.js';
import { greedySampling } from '../sampling/sampling-options.js';
import type { SpeculationOptions } from '../speculation/speculator.js';
import type { TokenBytes } from '../text/token-bytes.js';
import { testLimits } from './demo-engine.js';
import { hashTokens } from './hash-executor.js';

const vocabulary = Array.from({ length: hashTokens.count }, (_, id) => Uint8Array.of(65 + id));
const trie = new TokenTrie(vocabulary, [hashTokens.end]);

export interface HashEngineOptions {
  readonly maxPositions: number;
  readonly kvBytes: number;
  readonly conditionRows: number;
  readonly maxDrawings: number;
  readonly speculation?: SpeculationOptions | undefined;
  readonly limits: Partial<EngineLimits>;
}

/** An engine over the model of hashes, whose tokens are written as the characters from "A" on. */
export function hashEngine(
  executor: ModelExecutor,
  { maxPositions, kvBytes, conditionRows, maxDrawings, speculation, limits }: HashEngineOptions,
): EngineCoreOptions {
  const bytesOf = (id: number): Uint8Array => vocabulary[id] as Uint8Array;
  return {
    executor,
    kvBytes,
    model: {
      bytes: { of: bytesOf, firstOf: bytesOf } as unknown as TokenBytes,
      constraints: new Constraints({ trie, bytesOf, endTokenIds: [hashTokens.end] }),
      hiddenSize: 1,
      maxPositions,
      eosTokenIds: new Set([hashTokens.end]),
      drawing: { startTokenId: hashTokens.draw, conditionRows, maxDrawings },
      speculation,
    },
    limits: { ...testLimits, maxDrawings, ...limits },
  };
}

/** A request that asks for nothing in particular. */
export function hashRequest(
  requestId: string,
  tokenIds: readonly number[],
  options: Partial<EngineRequest> = {},
): EngineRequest {
  return {
    requestId,
    attempt: 1,
    prompt: { tokenIds, spans: [], byModality: [] },
    contentKeys: tokenIds,
    priority: 0,
    client: 'c',
    cacheScope: '',
    tilesOnDemand: false,
    sampling: greedySampling,
    form: undefined,
    maxTokens: 50,
    stops: [],
    stopTokenIds: [],
    forcedTokenIds: [],
    queuedDrawings: 0,
    isTakeover: false,
    deadlineMs: Date.now() + 60_000,
    ...options,
  };
}
