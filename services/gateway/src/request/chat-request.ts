import type { Bus, ProductInbox, StageFailure } from '@tessera/bus';
import { abortable, EventQueue, linkedAbort } from '@tessera/flow';
import {
  type ChatMessage,
  type ChatResponse,
  type DrawingEvent,
  type DrawOptions,
  type GenerateRequest,
  type GenerateResponse,
  LlmServiceDefinition,
  RequestState,
  TesseraError,
  type TextOptions,
  type TileNeeded,
} from '@tessera/protocol';
import type { AdmittedRequest } from '../admission/request-admission.js';
import type { EncodeDispatch } from '../dispatch/encode-dispatch.js';
import type { EngineLease, EnginePool } from '../dispatch/engine-pool.js';
import { DeliveredAnswer, type ResumePoint, type TextEnd } from './delivered-answer.js';
import type { PlannedItem } from './media-plan.js';
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
  readonly drawings: ProductInbox<DrawingEvent>;
  readonly engines: EnginePool;
  readonly encodes: EncodeDispatch;
  readonly lifecycle: RequestLifecycle;
  readonly admitted: AdmittedRequest;
  readonly maxAttempts: number;
  readonly onAttempt: () => void;
}

type Incoming =
  | { readonly from: 'engine'; readonly event: GenerateResponse['event'] }
  | { readonly from: 'media'; readonly event: DrawingEvent | StageFailure };

/** What stages may have said before it is taken in; beyond it they wait. */
const maxUnread = 64;

/** NATS was away while a drawing was due: its job may be lost with the queue. */
class DrawingLost extends Error {}

/**
 * Runs a prepared request to its end: picks an engine, sends the media to the encoders at the same moment, and turns
 * what the stages say into events. An engine that dies is replaced; the next one goes on after the tokens delivered.
 */
export class ChatRequest {
  private readonly delivered = new DeliveredAnswer();
  private promptTokens = 0;
  private mediaTokens = 0;
  /** Raised each time anything of this request is sent again, so that no copy is taken for a duplicate. */
  private attempt = 1;
  /** Whether an engine had it: then it goes on, and does not begin. */
  private begun = false;
  /** What generators say, over all attempts, and the next of it, which an attempt may leave to the one after it. */
  private drawingEvents: AsyncIterator<DrawingEvent | StageFailure> | undefined;
  private nextDrawingEvent: Promise<IteratorResult<DrawingEvent | StageFailure>> | undefined;

  constructor(
    private readonly request: PreparedRequest,
    private readonly dependencies: ChatRequestDependencies,
  ) {}

  /** Whether work for this request may still go on, or lie in a queue. */
  get leavesWork(): boolean {
    return this.attempt > 1 || this.dependencies.encodes.isUnfinished || this.delivered.drawingsDue;
  }

  /** @param answer where the answer's events go, which may ask the request to wait */
  async run(signal: AbortSignal, answer: EventQueue<ChatEvent>): Promise<void> {
    const { engines, lifecycle, maxAttempts } = this.dependencies;
    const failed = new Set<string>();
    // Open before anything is asked for, and over all attempts: what comes between two of them is not lost.
    this.drawingEvents = this.dependencies.drawings.receive(this.request.requestId, signal)[Symbol.asyncIterator]();
    let from: ResumePoint | undefined;
    for (let attempt = 1; ; attempt++) {
      // An engine that did not even admit it leaves it queued.
      if (lifecycle.state !== RequestState.QUEUED) answer.put(this.enter(RequestState.QUEUED));
      const { deadlineMs } = this.request;
      const lease = await engines.acquire({
        avoid: failed,
        takeover: this.begun,
        awaitsTiles: this.request.items.length > 0,
        deadlineMs,
        signal,
      });
      this.dependencies.admitted.placed();
      try {
        await this.runOn(lease, from, signal, answer);
        return;
      } catch (reason) {
        signal.throwIfAborted();
        const error = reason instanceof DrawingLost ? reason : TesseraError.from(reason);
        // One that goes on waits for a place as long as it may: being refused is no attempt.
        if (this.begun && error instanceof TesseraError && error.code === 'QUEUE_FULL') attempt--;
        if (attempt >= maxAttempts) throw lastWord(error);
        if (error instanceof DrawingLost) {
          from = this.delivered.resumeWithLostDrawings();
        } else {
          this.giveUp(lease, failed, error);
          from = this.delivered.resume();
        }
        this.attempt++;
        this.dependencies.onAttempt();
      } finally {
        lease.release();
      }
    }
  }

  /** Lets go of an engine that failed. @throws the error, when it would be the same elsewhere */
  private giveUp(lease: EngineLease, failed: Set<string>, error: TesseraError): void {
    // Another engine would meet the same failure of another stage; and text that is complete needs none any more.
    const isEngines = (error.options.stage ?? 'llm') === 'llm';
    if (!isEngines || this.dependencies.lifecycle.state === RequestState.GENERATING) throw error;
    switch (error.code) {
      case 'STAGE_UNAVAILABLE':
        failed.add(lease.engineId);
        if (!lease.silence.aborted) lease.lost();
        return;
      case 'DRAINING':
        failed.add(lease.engineId);
        return;
      case 'QUEUE_FULL':
        // It has not failed: it may be the one that has room next.
        lease.full();
        return;
      default:
        throw error;
    }
  }

  private async runOn(
    lease: EngineLease,
    resume: ResumePoint | undefined,
    outer: AbortSignal,
    answer: EventQueue<ChatEvent>,
  ): Promise<void> {
    using stop = linkedAbort(outer);
    const { signal } = stop;
    const incoming = new EventQueue<Incoming>({ most: maxUnread });
    const follow = (source: Promise<void>): void => void source.catch((reason) => incoming.fail(reason));
    // What a hung engine may still say later finds nobody: its stream is closed.
    const onSilence = (): void => stop.abort(lease.silence.reason);
    lease.silence.addEventListener('abort', onSilence, { once: true });
    if (lease.silence.aborted) onSilence();
    try {
      // Both at once: the engine prefills the words before a picture while the picture is being encoded. The encode jobs
      // leave first, since what they begin takes longer.
      follow(this.dependencies.encodes.sendAll(this.attempt, lease.inbox, signal));
      if (this.request.items.length > 0) follow(this.resendLost(lease, signal));
      follow(this.readEngine(lease, resume ?? this.delivered.resume(), incoming, signal));
      let drawing = this.delivered.drawingsDue;
      if (drawing) follow(this.readDrawings(incoming, signal));
      let finished: TextEnd | undefined;
      for await (const { from, event } of incoming) {
        if (event === undefined) continue;
        if (from === 'media') {
          this.onMedia(event as DrawingEvent | StageFailure, answer);
        } else {
          const engineEvent = event as NonNullable<GenerateResponse['event']>;
          if (engineEvent.$case === 'drawingQueued' && !drawing) {
            drawing = true;
            follow(this.readDrawings(incoming, signal));
          }
          // Not awaited: what else the engine says is not to wait for a queue that is full.
          if (engineEvent.$case === 'tileNeeded') follow(this.resend(engineEvent.value, lease, signal));
          this.onEngine(engineEvent, answer);
          if (engineEvent.$case === 'tileArrived' && !this.dependencies.encodes.isUnfinished) lease.complete();
          if (engineEvent.$case === 'finished') {
            finished = this.delivered.takeEnd(engineEvent.value);
            // The text is complete: a drawing needs its place no more, and does not hear of its silence.
            lease.silence.removeEventListener('abort', onSilence);
            lease.release();
          }
        }
        if (finished !== undefined && !this.delivered.drawingsDue) {
          answer.put(this.enter(RequestState.DONE));
          answer.put(this.finishedEvent(finished));
          return;
        }
        if (finished !== undefined && this.dependencies.lifecycle.state === RequestState.DECODING) {
          answer.put(this.enter(RequestState.GENERATING));
        }
        // A client that reads slowly slows its own stages down, and fills no memory here. What has come is taken in even
        // where the attempt is over.
        const room = answer.room();
        if (room !== undefined) await abortable(room, outer);
      }
      outer.throwIfAborted();
      throw engineEnded();
    } finally {
      lease.silence.removeEventListener('abort', onSilence);
      stop.abort();
    }
  }

  private onEngine(event: NonNullable<GenerateResponse['event']>, answer: EventQueue<ChatEvent>): void {
    const { lifecycle, encodes, admitted } = this.dependencies;
    switch (event.$case) {
      case 'admitted':
        this.begun = true;
        this.promptTokens = event.value.promptTokens;
        this.mediaTokens = event.value.mediaTokens;
        answer.put(this.enter(RequestState.PREFILLING));
        return;
      case 'tileArrived': {
        const { item, tile, tokens, timings } = event.value;
        for (const timing of timings) {
          const kind = timing.stage === 'encoder' ? 'encode' : 'connect';
          lifecycle.addStageWork(timing, kind, { item, tile });
          admitted.tileMade(kind, timing);
        }
        encodes.arrived(item, tile);
        answer.put({ $case: 'tileDone', value: { item, tile, tokens } });
        return;
      }
      case 'tokens': {
        if (lifecycle.state === RequestState.PREFILLING) answer.put(this.enter(RequestState.DECODING));
        this.delivered.takeTokens(event.value.tokenIds);
        answer.put({ $case: 'textDelta', value: { text: event.value.text, tokens: event.value.tokenIds.length } });
        return;
      }
      case 'drawingQueued':
        this.delivered.takeQueuedDrawing(event.value.drawing);
        admitted.drawingQueued();
        return;
      case 'finished': {
        const { timing, completionTokens: tokens } = event.value;
        if (timing === undefined) return;
        this.addEngineSpans(timing);
        // Of an answer that was taken over the engine measured only its own part.
        if (this.attempt === 1) admitted.written({ timing, tokens, hasMedia: this.request.items.length > 0 });
        return;
      }
      default:
        return;
    }
  }

  private onMedia(event: DrawingEvent | StageFailure, answer: EventQueue<ChatEvent>): void {
    if ('code' in event) {
      throw new TesseraError(event.code, `${event.stage}: ${event.message}`, { stage: event.stage });
    }
    if (event.event === undefined || !this.delivered.takeDrawingEvent(event)) return;
    if (event.event.$case === 'progress') {
      answer.put({ $case: 'drawProgress', value: event.event.value });
      return;
    }
    answer.put(event.event);
    if (event.event.value.last) {
      const { drawing } = event.event.value;
      if (event.timing !== undefined) {
        this.dependencies.lifecycle.addStageWork(event.timing, 'denoise', { item: drawing });
        this.dependencies.admitted.drawn(event.timing);
      }
    }
  }

  private async readEngine(
    lease: EngineLease,
    resume: ResumePoint,
    incoming: EventQueue<Incoming>,
    signal: AbortSignal,
  ): Promise<void> {
    const { requestId, messages, items, text, draw, deadlineMs } = this.request;
    const { deliveredTokenIds, queuedDrawings, isComplete } = resume;
    const request: GenerateRequest = {
      requestId,
      attempt: this.attempt,
      messages,
      media: items.map(({ kind, spans }) => ({ kind, tiles: [...spans] })),
      // A text that has its end gets no further token, whatever this engine would write.
      text: isComplete ? { ...text, maxTokens: deliveredTokenIds.length } : text,
      draw,
      drawingsTo: this.dependencies.drawings.address,
      deliveredTokenIds,
      queuedDrawings,
      takenOver: this.begun,
    };
    let isFinished = false;
    const onMessage = ({ event }: GenerateResponse): Promise<void> | undefined => {
      isFinished ||= event?.$case === 'finished';
      incoming.put({ from: 'engine', event });
      return incoming.room();
    };
    try {
      await lease.client.receive(LlmServiceDefinition.methods.generate, request, { signal, deadlineMs, onMessage });
    } catch (reason) {
      // How a stream ends that has said all is of no account: drawings may still be due.
      if (!isFinished) throw reason;
    }
    if (!isFinished) throw engineEnded();
  }

  /** What the generator says; ends with DrawingLost when NATS was away and a drawing is due. */
  private async readDrawings(incoming: EventQueue<Incoming>, signal: AbortSignal): Promise<void> {
    const { bus } = this.dependencies;
    const events = this.drawingEvents;
    if (events === undefined) return;
    const lossAwaited = (): Promise<'reconnected'> => {
      const lost = bus.reconnected(signal).then(() => 'reconnected' as const);
      lost.catch(() => undefined);
      return lost;
    };
    let lost = lossAwaited();
    for (;;) {
      this.nextDrawingEvent ??= events.next();
      const first = await Promise.race([lost, this.nextDrawingEvent]);
      if (first === 'reconnected') {
        if (this.delivered.drawingsDue) throw new DrawingLost();
        lost = lossAwaited();
        continue;
      }
      if (first.done === true) throw engineEnded();
      // What this attempt takes no more is the next one's.
      if (!incoming.put({ from: 'media', event: first.value })) return;
      this.nextDrawingEvent = undefined;
      await incoming.room();
    }
  }

  private async resend({ item, tile }: TileNeeded, lease: EngineLease, signal: AbortSignal): Promise<void> {
    const recipient = { deliverTo: lease.inbox, signal };
    await this.dependencies.encodes.resendIfLost(item, tile, () => ++this.attempt, recipient);
  }

  /** After each loss of NATS, what it lost of this request's tiles is made again; ends with the attempt. */
  private async resendLost({ inbox }: EngineLease, signal: AbortSignal): Promise<void> {
    const { bus, encodes } = this.dependencies;
    while (!signal.aborted && encodes.isUnfinished) {
      const reconnected = await bus.reconnected(signal).then(
        () => true,
        () => false,
      );
      if (reconnected) await encodes.resendLost(() => ++this.attempt, { deliverTo: inbox, signal });
    }
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

  private finishedEvent(finished: TextEnd): ChatEvent {
    const { promptTokens, mediaTokens } = this;
    return {
      $case: 'finished',
      value: {
        reason: finished.reason,
        usage: {
          promptTokens,
          mediaTokens,
          completionTokens: finished.completionTokens,
          drawings: this.delivered.drawings,
        },
        spans: [...this.dependencies.lifecycle.spans],
      },
    };
  }
}

function engineEnded(): TesseraError {
  return new TesseraError('STAGE_UNAVAILABLE', 'the llm engine ended its stream before the answer was complete');
}

function lastWord(error: DrawingLost | TesseraError): TesseraError {
  return error instanceof DrawingLost
    ? new TesseraError('STAGE_UNAVAILABLE', 'NATS was away too often while a drawing was made', { cause: error })
    : error;
}
