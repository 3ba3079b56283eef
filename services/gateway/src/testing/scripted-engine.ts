import { abortable } from '@tessera/flow';
import {
  durationOf,
  type EngineStatus,
  FinishReason,
  type GenerateRequest,
  type GenerateResponse,
  LlmServiceDefinition,
  Modality,
  type StageTiming,
  TesseraError,
} from '@tessera/protocol';
import { commonSettings, grpcService, type RunningService, startService } from '@tessera/service';
import { engineStatus } from './engine-status.js';

type Event = NonNullable<GenerateResponse['event']>;

/** What a scripted engine does with one call: events in their order, and then, maybe, its failure. */
export interface Script {
  readonly events?: readonly Event[];
  readonly fails?: TesseraError;
  /** Says nothing more after its events, until its caller leaves. */
  readonly waits?: boolean;
}

export const admitted: Event = {
  $case: 'admitted',
  value: { promptTokens: 3, cachedTokens: 0, byModality: [{ modality: Modality.TEXT, tokenCount: 3 }] },
};
export const finished: Event = {
  $case: 'finished',
  value: {
    reason: FinishReason.END,
    tokenCount: 1,
    timing: { queue: durationOf(0), prefill: durationOf(1), decode: durationOf(1) },
    cachedTokens: 0,
  },
};

export function token(id: number): Event {
  return { $case: 'tokens', value: { tokenIds: [id], text: `<${id}>`, logprobs: [] } };
}

/** A tile's visual tokens are there. */
export function arrived(segment: number, timings: StageTiming[] = []): Event {
  return { $case: 'segmentArrived', value: { media: 0, segment, tokenCount: 4, timings } };
}

/** A whole answer of one token. */
export const answer: Script = { events: [admitted, token(7), finished] };

/** An engine that does over gRPC what it is told: a real one does not fail at a word. */
export class ScriptedEngine {
  readonly calls: GenerateRequest[] = [];
  private readonly scripts: Script[];

  private constructor(
    private readonly service: RunningService,
    readonly status: EngineStatus,
    scripts: Script[],
  ) {
    this.scripts = scripts;
  }

  /** @param scripts one for each call; the last one for all that follow */
  static async start(engineId: string, ...scripts: Script[]): Promise<ScriptedEngine> {
    const calls: { take?: (request: GenerateRequest) => Script } = {};
    async function* generate(
      request: GenerateRequest,
      { signal }: { signal: AbortSignal },
    ): AsyncGenerator<GenerateResponse> {
      const { events = [], fails, waits = false } = calls.take?.(request) ?? {};
      for (const event of events) yield { event };
      if (fails !== undefined) throw fails;
      if (waits) await abortable(new Promise<never>(() => undefined), signal);
    }
    const describe = async () => {
      throw new TesseraError('UNSUPPORTED', 'nobody asks');
    };
    const service = await startService(
      {
        name: engineId,
        settings: commonSettings,
        start: async () => ({
          services: [grpcService(LlmServiceDefinition, { describe, generate })],
          stop: async () => undefined,
        }),
      },
      { 'model.dir': 'none', 'log.level': 'silent' },
    );
    const status = engineStatus(engineId, { address: service.grpcAddress, inbox: '0-someengine' });
    const engine = new ScriptedEngine(service, status, scripts);
    calls.take = (request) => engine.take(request);
    return engine;
  }

  async stop(): Promise<void> {
    await this.service.stop();
  }

  private take(request: GenerateRequest): Script {
    this.calls.push(request);
    return (this.scripts.length > 1 ? this.scripts.shift() : this.scripts[0]) ?? {};
  }
}
