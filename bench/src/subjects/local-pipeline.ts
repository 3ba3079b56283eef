import { setMaxListeners } from 'node:events';
import type { Bundle } from '@tessera/bundle';
import { connectorPorts } from '@tessera/connector';
import { encoderPorts } from '@tessera/encoder';
import { BatchedGraph, createSession, type SessionOptions } from '@tessera/inference';
import { type EngineLimits, Llm, type LlmEngine } from '@tessera/llm';
import { decodeMedia, type MediaInfo, type PlannedTile, planTiles, preprocessTile, probeMedia } from '@tessera/media';
import {
  type Float32Tensor,
  GenerateRequest,
  Modality,
  type PromptPart,
  Role,
  SegmentRole,
  TesseraError,
  TextOptions,
} from '@tessera/protocol';
import type { Prompt } from '../prompts.js';
import { AnswerClock, type TimedAnswer } from './timed-answer.js';

/** One thread a graph, as the services have by default. */
const session: SessionOptions = { threads: 1, device: 'cpu' };
/** Nothing waits for company: the least that the classes can take. */
const batch = { what: 'tiles', maxBatch: 8, waitMs: 0, maxWaiting: 64 };
/** The services' defaults. */
export const benchLimits: EngineLimits = {
  maxRunning: 16,
  maxWaiting: 64,
  maxWaitingForTiles: 64,
  maxTakeovers: 1024,
  maxStepTokens: 512,
  maxChunkTokens: 256,
  tileTimeoutMs: 10_000,
  reusePrefixes: true,
  maxDrawings: 4,
  speculativeTokens: 0,
  speculationNgram: 2,
};
const timeoutMs = 60_000;
const never = new AbortController().signal;
// Every tile under way listens.
setMaxListeners(0, never);

/** A picture whose header was read. */
export interface PlannedPicture {
  readonly bytes: Uint8Array;
  readonly info: MediaInfo;
  /** The only tile that the demo model makes of a picture. */
  readonly tile: PlannedTile;
}

/**
 * The graphs and engines of the services, called one after the other in this thread: no process, no message, no copy between
 * them. What being distributed is measured against.
 */
export class LocalPipeline implements AsyncDisposable {
  private constructor(
    private readonly bundle: Bundle,
    private readonly encoder: BatchedGraph,
    private readonly connector: BatchedGraph,
    readonly llm: Llm<LlmEngine>,
    private readonly release: () => Promise<void>,
  ) {}

  static async create(bundle: Bundle): Promise<LocalPipeline> {
    const encoderModel = bundle.stage('encoder');
    const connectorModel = bundle.stage('connector');
    const encoderSession = await createSession(bundle.file(encoderModel.graph), session);
    const connectorSession = await createSession(bundle.file(connectorModel.graph), session);
    const llm = await Llm.inProcess({ modelDir: bundle.dir, session, limits: benchLimits });
    return new LocalPipeline(
      bundle,
      new BatchedGraph(encoderSession, { ...batch, ...encoderPorts(encoderModel) }),
      new BatchedGraph(connectorSession, { ...batch, ...connectorPorts(connectorModel) }),
      llm,
      async () => {
        await llm.close();
        await encoderSession.release();
        await connectorSession.release();
      },
    );
  }

  /** Answers one question. Drawings are asked for by the model and not made. */
  async ask({ picture, text, sampling }: Prompt): Promise<TimedAnswer> {
    const clock = new AnswerClock();
    const requestId = `local-${nextId++}`;
    const content: PromptPart[] = [{ part: { $case: 'text', value: text } }];
    let planned: PlannedPicture | undefined;
    if (picture !== undefined) {
      content.unshift({ part: { $case: 'media', value: 0 } });
      planned = await this.plan(picture);
    }
    const request = GenerateRequest.fromPartial({
      requestId,
      attempt: 1,
      prompt: { $case: 'conversation', value: { messages: [{ role: Role.USER, content }] } },
      media:
        planned === undefined
          ? []
          : [
              {
                modality: Modality.IMAGE,
                segments: [{ role: SegmentRole.WHOLE, tokenCount: this.bundle.stage('connector').tokens }],
              },
            ],
    });
    request.text = TextOptions.fromPartial(sampling ?? {});
    const events = this.llm.generate(request, Date.now() + timeoutMs);
    if (planned !== undefined) {
      const tokens = await this.visualTokens(planned, clock);
      this.llm.engine.provideTile({ requestId, item: 0, tile: 0, tokens, timings: [] });
    }
    for await (const event of events) {
      if (event.type === 'tokens') clock.delta(event.text, event.tokenIds.length);
      if (event.type === 'drawing') clock.drawing();
    }
    return clock.end();
  }

  /** One tile from its file to its visual tokens, with a mark behind each step. */
  async visualTokens({ bytes, info, tile }: PlannedPicture, clock: AnswerClock): Promise<Float32Tensor> {
    const preprocessing = this.preprocessing();
    clock.mark('planned');
    const raster = await decodeMedia(bytes, { info, background: preprocessing.background });
    clock.mark('decoded');
    const pixels = await preprocessTile(raster, tile, preprocessing);
    clock.mark('prepared');
    const { result: features } = await this.encoder.run(pixels, never);
    clock.mark('encoded');
    const { result: tokens } = await this.connector.run(features, never);
    clock.mark('connected');
    return tokens;
  }

  async plan(bytes: Uint8Array): Promise<PlannedPicture> {
    const info = await probeMedia(bytes);
    const [tile] = planTiles(info, this.preprocessing()).tiles;
    if (tile === undefined) throw new TesseraError('INTERNAL', 'a picture without tiles');
    return { bytes, info, tile };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  private preprocessing() {
    const { preprocessing } = this.bundle.manifest;
    if (preprocessing === undefined) throw new TesseraError('UNSUPPORTED', 'the model takes no pictures');
    return preprocessing;
  }
}

let nextId = 0;
