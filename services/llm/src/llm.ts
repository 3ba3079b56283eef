import type { Bundle, BundleManifest } from '@tessera/bundle';
import type { GenerateRequest } from '@tessera/protocol';
import { engineBudget, engineBundle, engineCoreOptions } from './engine/create-engine-core.js';
import type { Engine, EngineEvent, EngineRequest } from './engine/engine.js';
import type { EngineConfig } from './engine/engine-config.js';
import { engineRequest } from './engine/engine-request.js';
import { LlmEngine } from './engine/llm-engine.js';
import { PlacementFile } from './experts/placement-file.js';
import type { KvBudget } from './kv/kv-budget.js';
import { loadPromptBuilder } from './prompt/load-prompt-builder.js';
import type { PromptBuilder } from './prompt/prompt-builder.js';
import { ThreadedEngine, type ThreadedEngineOptions } from './thread/threaded-engine.js';

/** A model ready to answer: prompts are built here, tokens written by the engine. Knows neither gRPC nor NATS. */
export class Llm<E extends Engine = Engine> {
  private constructor(
    readonly manifest: BundleManifest,
    readonly engine: E,
    readonly builder: PromptBuilder,
    /** What the KV cache may take, and how long prompt and answer of one request can be with that. */
    readonly budget: KvBudget,
  ) {}

  /** In this thread, whose event loop each step blocks: for measurements and tools. */
  static async inProcess(config: EngineConfig): Promise<Llm<LlmEngine>> {
    const { bundle, builder, budget, resolved } = await prepareModel(config);
    return new Llm(bundle.manifest, new LlmEngine(await engineCoreOptions(resolved)), builder, budget);
  }

  /** With the engine in a thread of its own: for services. */
  static async inThread(config: EngineConfig, options?: ThreadedEngineOptions): Promise<Llm<ThreadedEngine>> {
    const { bundle, builder, budget, resolved } = await prepareModel(config);
    return new Llm(bundle.manifest, await ThreadedEngine.start(resolved, options), builder, budget);
  }

  /**
   * Checks a request and builds its prompt.
   * @param deadlineMs Unix milliseconds
   * @throws TesseraError PROMPT_EMPTY, PROMPT_TOO_LONG, REQUEST_INVALID, UNSUPPORTED
   */
  prepare(request: GenerateRequest, deadlineMs: number): EngineRequest {
    return engineRequest(request, this.builder, this.manifest, deadlineMs);
  }

  /** `prepare` and `submit` in one. */
  generate(request: GenerateRequest, deadlineMs: number): AsyncIterable<EngineEvent> {
    return this.engine.submit(this.prepare(request, deadlineMs));
  }

  close(): Promise<void> {
    return this.engine.close();
  }
}

/** How many experts the placement gives to each engine, as it is when this one starts; undefined where none is placed. */
async function expertsHere({ experts }: EngineConfig, bundle: Bundle): Promise<number | undefined> {
  if (experts === undefined) return undefined;
  const { engine } = await new PlacementFile(experts.placementFile, bundle).open();
  return engine.size;
}

/** Engine and prompt builder must have the same limits, so the budget is looked up once. */
async function prepareModel(config: EngineConfig) {
  const bundle = await engineBundle(config);
  const budget = engineBudget(bundle, config, await expertsHere(config, bundle));
  const builder = await loadPromptBuilder(bundle, budget.contextTokens, config.chatTemplate);
  const resolved: EngineConfig = { ...config, limits: { ...config.limits, kvBytes: budget.bytes } };
  return { bundle, builder, budget, resolved };
}
