import { type Bundle, readBundle } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { constraintVocabulary } from '../constraint/constraint-vocabulary.js';
import { Constraints } from '../constraint/constraints.js';
import { allLayers, type KvBudget, kvBudget, pieceOfModel } from '../kv/kv-budget.js';
import { loadWrittenTokens } from '../prompt/load-prompt-builder.js';
import { TokenBytes } from '../text/token-bytes.js';
import type { EngineLimits } from './engine.js';
import type { Elsewhere, EngineConfig, OpenedBackend } from './engine-config.js';
import type { EngineCoreOptions } from './engine-core.js';
import { openExecutor } from './open-executor.js';

/**
 * What the KV cache of an engine may take, by what it has of the model.
 * @param heldExperts where experts are placed, how many of them it has
 * @throws TesseraError CONFIG_INVALID
 */
export function engineBudget(
  bundle: Bundle,
  { limits, layers }: Pick<EngineConfig, 'limits' | 'layers'>,
  heldExperts?: number,
): KvBudget {
  if (layers === undefined) return kvBudget(bundle, limits.kvBytes, { share: allLayers(bundle, heldExperts) });
  return kvBudget(bundle, limits.kvBytes, { share: pieceOfModel(bundle, 0), maxPositions: layers.maxPositions });
}

/** The bundle of an engine. @throws TesseraError CHECKPOINT_INVALID, CONFIG_INVALID */
export async function engineBundle({ modelDir, layers }: Pick<EngineConfig, 'modelDir' | 'layers'>): Promise<Bundle> {
  if (layers === undefined) return await readBundle(modelDir, ['llm']);
  const bundle = await readBundle(modelDir, []);
  await bundle.require(bundle.filesOfLayers(0));
  return bundle;
}

/**
 * Opens the bundle and loads the model.
 * @param elsewhere what the config has elsewhere
 */
export async function engineCoreOptions(
  config: EngineConfig,
  onOpened: (opened: OpenedBackend) => void = () => undefined,
  elsewhere: Elsewhere = {},
): Promise<EngineCoreOptions> {
  const { limits } = config;
  if (limits.maxStepTokens < limits.maxRunning) {
    const message = `maxStepTokens is ${limits.maxStepTokens}, but must be at least maxRunning, ${limits.maxRunning}`;
    throw new TesseraError('CONFIG_INVALID', message);
  }
  const bundle = await engineBundle(config);
  const written = await loadWrittenTokens(bundle, config.chatTemplate);
  const budget = engineBudget(bundle, config);
  const model = sequenceModel(bundle, written, limits, budget);
  const size = { slots: limits.maxRunning, maxPositions: budget.contextTokens };
  const { executor, opened } = await openExecutor(bundle, config, size, elsewhere);
  onOpened({ backend: opened.backend, fallbackReason: opened.fallbackReason });
  return { executor, model, limits, kvBytes: budget.bytes };
}

function sequenceModel(
  { manifest }: Bundle,
  { tokenizer, eosTokenIds }: Awaited<ReturnType<typeof loadWrittenTokens>>,
  limits: EngineLimits,
  { contextTokens }: KvBudget,
): EngineCoreOptions['model'] {
  const { llm, generator } = manifest;
  const startTokenId = llm.tokens.generationStart;
  const bytes = new TokenBytes(tokenizer);
  return {
    bytes,
    // Now: of a large vocabulary it takes a second, which no step should wait for.
    constraints: new Constraints(constraintVocabulary(bytes, llm.vocabSize, eosTokenIds)),
    hiddenSize: llm.hiddenSize,
    maxPositions: contextTokens,
    eosTokenIds: new Set(eosTokenIds),
    drawing:
      startTokenId === undefined || generator === undefined
        ? undefined
        : { startTokenId, conditionRows: generator.conditionLength, maxDrawings: limits.maxDrawings },
    speculation:
      limits.speculativeTokens === 0 ? undefined : { tokens: limits.speculativeTokens, ngram: limits.speculationNgram },
  };
}
