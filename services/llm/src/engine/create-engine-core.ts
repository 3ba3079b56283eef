import { type Bundle, readBundle } from '@tessera/bundle';
import {
  type BoundSession,
  type BoundSessionOptions,
  createBoundSession,
  type InferenceBackend,
} from '@tessera/inference';
import { TesseraError } from '@tessera/protocol';
import { Constraints } from '../constraint/constraints.js';
import { TokenTrie } from '../constraint/token-trie.js';
import { type KvBudget, kvBudget } from '../kv/kv-budget.js';
import { requireCut } from '../model/expert-cut.js';
import type { ExpertProvider } from '../model/expert-provider.js';
import type { ModelExecutor } from '../model/model-executor.js';
import { MoeExecutor, openSections } from '../model/moe-executor.js';
import { OnnxExecutor } from '../model/onnx-executor.js';
import { loadPromptBuilder } from '../prompt/load-prompt-builder.js';
import type { PromptBuilder } from '../prompt/prompt-builder.js';
import { TokenBytes } from '../text/token-bytes.js';
import type { EngineLimits } from './engine.js';
import type { EngineCoreOptions } from './engine-core.js';

/** Enough to make an engine; structured-cloneable. */
export interface EngineConfig {
  /** The bundle's folder. */
  readonly modelDir: string;
  readonly session: BoundSessionOptions;
  readonly limits: EngineLimits;
  /** Where experts are placed; absent: the whole model is here. */
  readonly experts?: ExpertsConfig;
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
  readonly tls: {
    readonly caFile: string | undefined;
    readonly certFile: string | undefined;
    readonly keyFile: string | undefined;
    readonly serverName: string | undefined;
    readonly refreshMs: number;
  };
}

/**
 * Opens the bundle and loads the model.
 * @param placed the experts, where the config places them
 */
export async function engineCoreOptions(
  { modelDir, session, limits }: EngineConfig,
  onOpened: (opened: OpenedBackend) => void = () => undefined,
  placed?: ExpertProvider,
): Promise<EngineCoreOptions> {
  if (limits.maxStepTokens < limits.maxRunning) {
    const message = `maxStepTokens is ${limits.maxStepTokens}, but must be at least maxRunning, ${limits.maxRunning}`;
    throw new TesseraError('CONFIG_INVALID', message);
  }
  const bundle = await readBundle(modelDir, ['llm']);
  const builder = await loadPromptBuilder(bundle);
  const { llm } = bundle.manifest;
  const budget = kvBudget(bundle, limits.kvBytes);
  const model = sequenceModel(bundle, builder, limits, budget);
  const size = { slots: limits.maxRunning, maxPositions: budget.contextTokens };
  let executor: ModelExecutor;
  let opened: BoundSession | undefined;
  if (placed === undefined) {
    const graph = await createBoundSession(bundle.file(llm.graph), session);
    opened = graph;
    executor = new OnnxExecutor(graph, llm, size);
  } else {
    const cut = requireCut(bundle);
    const sections = await openSections(bundle, cut, session);
    [opened] = sections;
    executor = new MoeExecutor(sections, { ...llm, experts: cut }, placed, size);
  }
  if (opened !== undefined) onOpened({ backend: opened.backend, fallbackReason: opened.fallbackReason });
  return { executor, model, limits, kvBytes: budget.bytes };
}

function sequenceModel(
  { manifest }: Bundle,
  builder: PromptBuilder,
  limits: EngineLimits,
  { contextTokens }: KvBudget,
): EngineCoreOptions['model'] {
  const { llm, generator } = manifest;
  const startTokenId = llm.tokens.generationStart;
  const bytes = new TokenBytes(builder.tokenizer);
  return {
    bytes,
    // Now: of a large vocabulary it takes a second, which no step should wait for.
    constraints: new Constraints({
      trie: new TokenTrie(bytes.all(llm.vocabSize), llm.eosTokenIds),
      bytesOf: (id) => bytes.of(id),
      endTokenIds: llm.eosTokenIds,
    }),
    hiddenSize: llm.hiddenSize,
    maxPositions: contextTokens,
    eosTokenIds: new Set(llm.eosTokenIds),
    drawing:
      startTokenId === undefined || generator === undefined
        ? undefined
        : { startTokenId, conditionRows: generator.conditionLength, maxDrawings: limits.maxDrawings },
    speculation:
      limits.speculativeTokens === 0 ? undefined : { tokens: limits.speculativeTokens, ngram: limits.speculationNgram },
  };
}
