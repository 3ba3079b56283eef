import {
  type ChatMessage,
  type ChatResponse,
  type DrawOptions,
  type FinishReason,
  type GenerateRequest,
  type GenerateResponse,
  type MediaEvent,
  RequestState,
  TesseraError,
  type TextOptions,
} from '@tessera/protocol';
import type { Bus, StageFailure } from '@tessera/runtime';
import type { EncodeDispatch } from '../dispatch/encode-dispatch.js';
import type { EngineLease, EnginePool } from '../dispatch/engine-pool.js';
import { linkedAbort } from './linked-abort.js';
import type { PlannedItem } from './media-plan.js';
import { Merge } from './merge.js';
import type { RequestLifecycle } from './request-state.js';

/** One event of an answer; gRPC renders it as it is, other front doors in their own way. */
export type ChatEvent = NonNullable<ChatResponse['event']>;

/** A request whose media are whole and planned: all that an attempt needs. */
export interface PreparedRequest {
  readonly requestId: string;
  /** Media parts hold the number of their item. */
  readonly messages: ChatMessage[];
  readonly items: readonly PlannedItem[];
  readonly text: TextOptions;
  readonly draw: DrawOptions;
  readonly deadlineMs: number;
}

export interface ChatRequestDependencies {
  readonly bus: Bus;
  readonly engines: EnginePool;
  readonly encodes: EncodeDispatch;
  readonly lifecycle: RequestLifecycle;
  readonly maxAttempts: number;
  readonly onAttempt: () => void;
}

type Incoming =
  | { readonly from: 'engine'; readonly event: GenerateResponse['event'] }
  | { readonly from: 'media'; readonly event: MediaEvent | StageFailure };

/** What has been delivered to the client, over all attempts. */
interface Delivered {
  readonly tokenIds: number[];
  drawingsQueued: number;
  readonly drawingsDone: Set<number>;
  /** By drawing, the events delivered: an attempt reads them from the first again, and a drawing made again repeats them. */
  readonly drawingEvents: Map<number, number>;
  promptTokens: number;
  mediaTokens: number;
}

/**
 * Runs a prepared request to its end: picks an engine, sends the media to the encoders at the same moment, and turns
 * what the stages say into events. An engine that dies is replaced; the next one goes on after the tokens delivered.
 */
export class ChatRequest {
  private readonly delivered: Delivered = {
    tokenIds: [],
    drawingsQueued: 0,
    drawingsDone: new Set(),
    drawingEvents: new Map(),
    promptTokens: 0,
    mediaTokens: 0,
  };
  /** Raised each time anything of this request is sent again, so that no copy is taken for a duplicate. */
  private attempt = 1;

  constructor(
    private readonly request: PreparedRequest,
    private readonly dependencies: ChatRequestDependencies,
  ) {}

  /** Whether jobs were sent again: then copies of them may still lie in a queue, or with a worker that is gone. */
  get sentAgain(): boolean {
    return this.attempt > 1;
  }

  async *run(signal: AbortSignal): AsyncGenerator<ChatEvent> {
    const { engines, lifecycle, maxAttempts } = this.dependencies;
    const failed = new Set<string>();
    for (let attempt = 1; ; attempt++) {
      // An engine that did not even admit it leaves it queued.
      if (lifecycle.state !== RequestState.QUEUED) yield this.enter(RequestState.QUEUED);
      const lease = await engines.acquire(failed, signal);
      try {
        yield* this.runOn(lease, attempt === 1, signal);
        return;
      } catch (reason) {
        const error = TesseraError.from(reason);
        failed.add(lease.engineId);
        if (error.code === 'STAGE_UNAVAILABLE') lease.lost();
        // Text that is complete needs no engine any more; everything else that may pass elsewhere is tried elsewhere.
        const elsewhere =
          error.code === 'STAGE_UNAVAILABLE' ||
          error.code === 'DRAINING' ||
          (error.code === 'QUEUE_FULL' && engines.hasOther(failed));
        const movable = lifecycle.state !== RequestState.GENERATING && !signal.aborted;
        if (!elsewhere || !movable || attempt >= maxAttempts) throw error;
        this.attempt++;
        this.dependencies.onAttempt();
      } finally {
        lease.release();
      }
    }
  }

  private async *runOn(lease: EngineLease, first: boolean, outer: AbortSignal): AsyncGenerator<ChatEvent> {
    using stop = linkedAbort(outer);
    const { signal } = stop;
    const incoming = new Merge<Incoming>();
    try {
      // Both at once: the engine prefills the words before a picture while the picture is being encoded. The encode jobs
      // leave first, since what they begin takes longer.
      if (first) incoming.add(this.sendEncodes());
      incoming.add(this.engineEvents(lease, signal));
      if (this.delivered.drawingsQueued > this.delivered.drawingsDone.size) incoming.add(this.mediaEvents(signal));
      let finished: { reason: FinishReason; completionTokens: number } | undefined;
      for await (const { from, event } of incoming) {
        if (event === undefined) continue;
        if (from === 'media') {
          yield* this.onMedia(event as MediaEvent | StageFailure);
        } else {
          const engineEvent = event as NonNullable<GenerateResponse['event']>;
          if (engineEvent.$case === 'drawingQueued' && this.delivered.drawingsQueued === 0) {
            incoming.add(this.mediaEvents(signal));
          }
          yield* this.onEngine(engineEvent);
          if (engineEvent.$case === 'finished') finished = engineEvent.value;
        }
        if (finished !== undefined && this.delivered.drawingsDone.size === this.delivered.drawingsQueued) {
          yield this.enter(RequestState.DONE);
          yield this.finishedEvent(finished);
          return;
        }
        if (finished !== undefined && this.dependencies.lifecycle.state === RequestState.DECODING) {
          yield this.enter(RequestState.GENERATING);
        }
      }
      outer.throwIfAborted();
      throw new TesseraError('STAGE_UNAVAILABLE', 'the llm engine ended its stream before the answer was complete');
    } finally {
      stop.abort();
    }
  }

  private async *onEngine(event: NonNullable<GenerateResponse['event']>): AsyncGenerator<ChatEvent> {
    const { lifecycle, encodes } = this.dependencies;
    switch (event.$case) {
      case 'admitted':
        this.delivered.promptTokens = event.value.promptTokens;
        this.delivered.mediaTokens = event.value.mediaTokens;
        yield this.enter(RequestState.PREFILLING);
        return;
      case 'tileArrived': {
        const { item, tile, tokens, timings } = event.value;
        for (const timing of timings) {
          lifecycle.addStageWork(timing, timing.stage === 'encoder' ? 'encode' : 'connect', { item, tile });
        }
        yield { $case: 'tileDone', value: { item, tile, tokens } };
        return;
      }
      case 'tileNeeded':
        this.attempt++;
        await encodes.resend(event.value.item, event.value.tile, this.attempt);
        return;
      case 'tokens': {
        if (lifecycle.state === RequestState.PREFILLING) yield this.enter(RequestState.DECODING);
        this.delivered.tokenIds.push(...event.value.tokenIds);
        yield { $case: 'textDelta', value: { text: event.value.text, tokens: event.value.tokenIds.length } };
        return;
      }
      case 'drawingQueued':
        this.delivered.drawingsQueued++;
        return;
      case 'finished': {
        const timing = event.value.timing;
        if (timing !== undefined) this.addEngineSpans(timing);
        return;
      }
      default:
        return;
    }
  }

  private async *onMedia(event: MediaEvent | StageFailure): AsyncGenerator<ChatEvent> {
    if ('code' in event) throw new TesseraError(event.code, `${event.stage}: ${event.message}`);
    if (event.event === undefined || event.key === undefined) return;
    const { item } = event.key;
    if (event.sequence < (this.delivered.drawingEvents.get(item) ?? 0)) return;
    this.delivered.drawingEvents.set(item, event.sequence + 1);
    if (event.event.$case === 'progress') {
      yield { $case: 'drawProgress', value: event.event.value };
      return;
    }
    yield event.event;
    if (event.event.value.last) {
      const { drawing } = event.event.value;
      if (event.timing !== undefined) {
        this.dependencies.lifecycle.addStageWork(event.timing, 'denoise', { item: drawing });
      }
      this.delivered.drawingsDone.add(drawing);
    }
  }

  private async *engineEvents(lease: EngineLease, signal: AbortSignal): AsyncGenerator<Incoming> {
    const { requestId, messages, items, text, draw, deadlineMs } = this.request;
    const request: GenerateRequest = {
      requestId,
      attempt: this.attempt,
      messages,
      media: items.map(({ kind, spans }) => ({ kind, tiles: [...spans] })),
      text,
      draw,
      deliveredTokenIds: this.delivered.tokenIds,
      queuedDrawings: this.delivered.drawingsQueued,
    };
    for await (const { event } of lease.client.generate(request, { signal, deadlineMs })) {
      yield { from: 'engine', event };
      if (event?.$case === 'finished') return;
    }
    throw new TesseraError('STAGE_UNAVAILABLE', 'the llm engine ended its stream before the answer was complete');
  }

  private async *mediaEvents(signal: AbortSignal): AsyncGenerator<Incoming> {
    for await (const event of this.dependencies.bus.media(this.request.requestId, signal)) {
      yield { from: 'media', event };
    }
  }

  // biome-ignore lint/correctness/useYield: a source of the merge that has no events, only an end or an error
  private async *sendEncodes(): AsyncGenerator<Incoming> {
    await this.dependencies.encodes.sendAll(this.attempt);
  }

  private addEngineSpans(timing: { queueMs: number; prefillMs: number; decodeMs: number }): void {
    const { lifecycle } = this.dependencies;
    const decodeStart = lifecycle.nowMs() - timing.decodeMs;
    const prefillStart = decodeStart - timing.prefillMs;
    const stages: [name: string, startMs: number, durationMs: number][] = [
      ['queue', prefillStart - timing.queueMs, timing.queueMs],
      ['prefill', prefillStart, timing.prefillMs],
      ['decode', decodeStart, timing.decodeMs],
    ];
    for (const [name, startMs, durationMs] of stages) {
      lifecycle.addSpan({ stage: 'llm', name, startMs: Math.max(0, startMs), durationMs });
    }
  }

  private enter(state: RequestState): ChatEvent {
    this.dependencies.lifecycle.enter(state);
    return { $case: 'stateChanged', value: { state, atMs: this.dependencies.lifecycle.nowMs() } };
  }

  private finishedEvent(finished: { reason: FinishReason; completionTokens: number }): ChatEvent {
    const { promptTokens, mediaTokens, drawingsDone } = this.delivered;
    return {
      $case: 'finished',
      value: {
        reason: finished.reason,
        usage: {
          promptTokens,
          mediaTokens,
          completionTokens: finished.completionTokens,
          drawings: drawingsDone.size,
        },
        spans: [...this.dependencies.lifecycle.spans],
      },
    };
  }
}
