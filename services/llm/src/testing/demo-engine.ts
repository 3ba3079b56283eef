import { type Bundle, type BundleManifest, readBundle } from '@tessera/bundle';
import { demoBundleDir, goldenTensor } from '@tessera/compiler/testing/demo-model';
import {
  type Float32Tensor,
  GenerateRequest,
  Modality,
  type PromptMedia,
  type PromptMessage,
  type PromptSegment,
  Role,
  SegmentRole,
  type TesseraError,
  TextOptions,
} from '@tessera/protocol';
import type { GoldenCase } from '@tessera/testing/demo-model/goldens';
import { engineCoreOptions } from '../engine/create-engine-core.js';
import type { EngineEvent, EngineLimits, EngineRequest } from '../engine/engine.js';
import type { EngineCoreOptions } from '../engine/engine-core.js';
import { engineRequest } from '../engine/engine-request.js';
import { LlmEngine } from '../engine/llm-engine.js';
import { kvBudget } from '../kv/kv-budget.js';
import { loadPromptBuilder } from '../prompt/load-prompt-builder.js';
import type { PromptBuilder } from '../prompt/prompt-builder.js';

export const testLimits: EngineLimits = {
  maxRunning: 16,
  maxWaiting: 16,
  maxWaitingForTiles: 16,
  maxTakeovers: 16,
  maxStepTokens: 512,
  maxChunkTokens: 256,
  tileTimeoutMs: 60_000,
  maxDrawings: 4,
  speculativeTokens: 0,
  speculationNgram: 2,
  reusePrefixes: true,
};

/** One answer, put together from its events. */
export interface Answer {
  readonly events: EngineEvent[];
  readonly tokenIds: number[];
  readonly text: string;
  readonly drawings: Float32Tensor[];
  readonly finished: Extract<EngineEvent, { type: 'finished' }> | undefined;
  readonly error: TesseraError | undefined;
}

export async function collect(events: AsyncIterable<EngineEvent>): Promise<Answer> {
  const seen: EngineEvent[] = [];
  let error: TesseraError | undefined;
  try {
    for await (const event of events) seen.push(event);
  } catch (reason) {
    error = reason as TesseraError;
  }
  const tokens = seen.filter((event) => event.type === 'tokens');
  return {
    events: seen,
    tokenIds: tokens.flatMap(({ tokenIds }) => tokenIds),
    text: tokens.map(({ text }) => text).join(''),
    drawings: seen.flatMap((event) => (event.type === 'drawing' ? [event.condition] : [])),
    finished: seen.find((event) => event.type === 'finished'),
    error,
  };
}

/** A whole picture: nine visual tokens, as the demo model makes them. */
export const wholePicture: PromptMedia = pictureOf({ role: SegmentRole.WHOLE, tokenCount: 9 });

export function pictureOf(...segments: PromptSegment[]): PromptMedia {
  return { modality: Modality.IMAGE, segments, digest: new Uint8Array() };
}

/** A string is text, a number a media item. */
export function message(role: Role, ...content: (string | number)[]): PromptMessage {
  return {
    role,
    content: content.map((part) => ({
      part: typeof part === 'string' ? { $case: 'text', value: part } : { $case: 'media', value: part },
    })),
  };
}

export const user = (...content: (string | number)[]): PromptMessage => message(Role.USER, ...content);
export const assistant = (...content: (string | number)[]): PromptMessage => message(Role.ASSISTANT, ...content);

/** A conversation as a request has it. */
export function asked(...messages: PromptMessage[]) {
  return { $case: 'conversation' as const, value: { messages, templateArguments: undefined } };
}

let nextId = 0;

/** What tests need of an engine over the demo model. */
export class DemoEngine {
  constructor(
    readonly engine: LlmEngine,
    readonly builder: PromptBuilder,
    readonly manifest: BundleManifest,
    /** float32 [9, 256] of each sample picture, by its name. */
    readonly pictures: ReadonlyMap<string, Float32Tensor>,
  ) {}

  static async create(
    limits: Partial<EngineLimits> = {},
    weights: 'float32' | 'int8' = 'float32',
    backend: 'auto' | 'native' | 'node' = 'auto',
  ): Promise<DemoEngine> {
    const modelDir = await demoBundleDir(weights);
    const bundle = await readBundle(modelDir);
    return DemoEngine.of(
      bundle,
      await engineCoreOptions({
        modelDir,
        session: { threads: 1, device: 'cpu', backend },
        limits: { ...testLimits, ...limits },
      }),
    );
  }

  /** Over what its options have as executor. */
  static async of(bundle: Bundle, options: EngineCoreOptions): Promise<DemoEngine> {
    const { contextTokens } = kvBudget(bundle, options.kvBytes);
    const names = ['apple', 'cat', 'rocket', 'pair', 'count'];
    const tensors = await Promise.all(names.map((name) => goldenTensor(`${name}.visual_tokens`)));
    const pictures = new Map(names.map((name, at) => [name, tensors[at] as Float32Tensor]));
    return new DemoEngine(
      new LlmEngine(options),
      await loadPromptBuilder(bundle, contextTokens),
      bundle.manifest,
      pictures,
    );
  }

  request(
    messages: PromptMessage[],
    {
      media = [],
      text,
      deadlineMs = Date.now() + 60_000,
      ...rest
    }: Partial<Omit<GenerateRequest, 'text'>> & { text?: Partial<TextOptions>; deadlineMs?: number } = {},
  ): EngineRequest {
    const request = GenerateRequest.fromPartial({
      requestId: `test-${nextId++}`,
      attempt: 1,
      prompt: asked(...messages),
      media,
      ...rest,
    });
    if (text !== undefined) request.text = TextOptions.fromPartial(text);
    return engineRequest(request, this.builder, this.manifest, deadlineMs);
  }

  golden(golden: GoldenCase, options: Parameters<DemoEngine['request']>[1] = {}): EngineRequest {
    return golden.image === null
      ? this.request([user(golden.question)], options)
      : this.request([user(0, golden.question)], { media: [wholePicture], ...options });
  }

  /** Gives tile 0 of an item the visual tokens of a sample picture. */
  provide(request: EngineRequest, item: number, picture: string): void {
    const tokens = this.pictures.get(picture.replace('.png', '')) as Float32Tensor;
    this.engine.provideTile({ requestId: request.requestId, item, tile: 0, tokens, timings: [] });
  }

  /** Submits with the golden's picture at hand. */
  start(golden: GoldenCase, options: Parameters<DemoEngine['request']>[1] = {}): Promise<Answer> {
    const request = this.golden(golden, options);
    const events = this.engine.submit(request);
    if (golden.image !== null) this.provide(request, 0, golden.image);
    return collect(events);
  }

  async close(): Promise<void> {
    await this.engine.close();
  }
}
