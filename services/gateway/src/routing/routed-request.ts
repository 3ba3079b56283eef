import type { Bus, ProductInbox, StageFailure } from '@tessera/bus';
import { abortable, EventQueue, linkedAbort } from '@tessera/flow';
import {
  type DrawingEvent,
  durationMs,
  type GenerateResponse,
  LlmServiceDefinition,
  type PromptSegmentNeeded,
  RequestState,
  Stage,
  TesseraError,
  type Usage,
} from '@tessera/protocol';
import type { AdmittedRequest } from '../admission/request-admission.js';
import type { AnswerEventBody } from '../answer/answer-event.js';
import { AnswerReducer } from '../answer/answer-reducer.js';
import type { ChoiceState } from '../answer/choice-states.js';
import type { ResumePoint } from '../answer/delivered-answer.js';
import type { RequestLifecycle } from '../answer/request-lifecycle.js';
import type { AwaitedStages, OutstandingWork } from './awaited-stages.js';
import { DrawingFeed, DrawingLost, type DrawingReader } from './drawing-feed.js';
import type { EncodeDispatch } from './encode-dispatch.js';
import { inClientsFields } from './engine-fields.js';
import type { EngineLease, EnginePool, EngineSeeker } from './engine-pool.js';
import { generateRequest } from './generate-request.js';
import type { PrefixAffinity } from './prefix-affinity.js';
import type { PreparedRequest } from './prepared-request.js';
import type { PromptTurn, SharedPrompt } from './shared-prompt.js';

export interface RoutedRequestDependencies {
  readonly bus: Bus;
  readonly drawings: ProductInbox<DrawingEvent>;
  readonly engines: EnginePool;
  readonly encodes: EncodeDispatch;
  readonly affinity: PrefixAffinity;
  readonly prompt: SharedPrompt;
  readonly lifecycle: RequestLifecycle;
  readonly state: ChoiceState;
  readonly admitted: AdmittedRequest;
  /** Told when what the request has others to do has changed. */
  readonly awaited: Pick<AwaitedStages, 'look'>;
  readonly maxAttempts: number;
  readonly onAttempt: () => void;
}

/** How an engine begins with it. */
type EngineStart = ResumePoint & { readonly mediaOnDemand: boolean };

type Incoming =
  | { readonly from: 'engine'; readonly event: GenerateResponse['event'] }
  | { readonly from: 'generator'; readonly event: DrawingEvent | StageFailure };

/** What stages may have said before it is taken in; beyond it they wait. */
const maxUnread = 64;

/**
 * Runs a prepared request, or one choice of it, to its end: picks an engine, sends the media to the encoders at the same moment, and turns
 * what the stages say into events. An engine that dies is replaced; the next one goes on after the tokens delivered.
 */
export class RoutedRequest implements OutstandingWork {
  /** Raised each time anything of this request is sent again, so that no copy is taken for a duplicate. */
  private attempt = 1;
  /** Whether more than one engine had a part in it, or one had two. */
  private isTakenOver = false;
  private isBegun = false;
  private isWithoutEngine = false;
  private readonly reducer: AnswerReducer;
  private drawingFeed: DrawingFeed | undefined;

  /** @param answer where the answer's events go, which may ask the request to wait */
  constructor(
    private readonly request: PreparedRequest,
    private readonly answer: EventQueue<AnswerEventBody>,
    private readonly dependencies: RoutedRequestDependencies,
  ) {
    const { lifecycle, state } = dependencies;
    const { choice, items } = request;
    const declaredMedia = items.map(({ declared }) => declared);
    this.reducer = new AnswerReducer({ choice, state, lifecycle, put: (event) => answer.put(event), declaredMedia });
  }

  get requestId(): string {
    return this.request.requestId;
  }

  get lacksEngine(): boolean {
    return this.isWithoutEngine;
  }

  get tilesDue(): boolean {
    return this.dependencies.encodes.isUnfinished;
  }

  get drawingsDue(): boolean {
    return this.reducer.drawingsDue;
  }

  /** Whether it was given an engine. */
  get begun(): boolean {
    return this.isBegun;
  }

  /** Whether work for this request may still go on, or lie in a queue. */
  get leavesWork(): boolean {
    return this.attempt > 1 || this.dependencies.encodes.isUnfinished || this.reducer.drawingsDue;
  }

  /** @returns what it took */
  async run(signal: AbortSignal): Promise<Usage> {
    const { bus, drawings, affinity, prompt, maxAttempts } = this.dependencies;
    const isFurther = this.request.choice > 0;
    const failed = new Set<string>();
    // Open before anything is asked for, and over all attempts: what comes between two of them is not lost.
    this.drawingFeed = new DrawingFeed(bus, drawings, this.request.requestId, signal);
    let from: ResumePoint | undefined;
    for (let attempt = 1; ; attempt++) {
      // An engine that did not even admit it leaves it queued.
      if (this.reducer.state !== RequestState.QUEUED) this.reducer.enter(RequestState.QUEUED);
      const { deadlineMs } = this.request;
      using turn = await prompt.turn(failed, signal);
      const { known } = turn;
      const seeker = {
        prefer: known?.engine,
        avoid: failed,
        takeover: this.reducer.begun,
        // Of the answer a part has left.
        waits: isFurther,
        awaitsTiles: this.request.items.length > 0,
        deadlineMs,
        signal,
      };
      const lease = await this.acquire(seeker);
      this.isBegun = true;
      this.dependencies.admitted.placed();
      try {
        // Where its pictures lie in the cache they need not be made again: that engine says which it needs.
        const mediaOnDemand = known?.holdsPictures === true && lease.engineId === known.engine;
        await this.runOn(lease, { ...(from ?? this.reducer.resume()), mediaOnDemand }, turn, signal);
        affinity.note(this.request.beginnings, lease.engineId, this.reducer.promptTokens);
        return this.reducer.usage();
      } catch (reason) {
        signal.throwIfAborted();
        const error = reason instanceof DrawingLost ? reason : TesseraError.from(reason);
        // One that goes on waits for a place as long as it may: being refused is no attempt.
        const waits = (this.reducer.begun || isFurther) && error instanceof TesseraError && error.code === 'QUEUE_FULL';
        if (waits) attempt--;
        if (attempt >= maxAttempts) throw lastWord(error);
        if (error instanceof DrawingLost) {
          from = this.reducer.resumeWithLostDrawings();
        } else {
          this.giveUp(lease, failed, error);
          from = this.reducer.resume();
        }
        this.attempt++;
        // One that was admitted nowhere is measured whole by the engine that admits it.
        if (this.reducer.begun) this.isTakenOver = true;
        if (!waits) this.dependencies.onAttempt();
      } finally {
        lease.release();
      }
    }
  }

  /** Engines may go and come while it waits in line: it lacks one only as long as none is there. */
  private async acquire(seeker: EngineSeeker): Promise<EngineLease> {
    const { engines } = this.dependencies;
    const presence = engines.watchPresence((there) => this.lackEngine(!there));
    try {
      return await engines.acquire(seeker);
    } finally {
      presence[Symbol.dispose]();
      this.lackEngine(false);
    }
  }

  private lackEngine(lacks: boolean): void {
    if (lacks === this.isWithoutEngine) return;
    this.isWithoutEngine = lacks;
    this.dependencies.awaited.look();
  }

  /** Lets go of an engine that failed. @throws the error, when it would be the same elsewhere */
  private giveUp(lease: EngineLease, failed: Set<string>, error: TesseraError): void {
    // Another engine would meet the same failure of another stage; and text that is complete needs none any more.
    const isEngines = (error.options.stage ?? 'llm') === 'llm';
    if (!isEngines || this.reducer.state === RequestState.GENERATING) throw error;
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
    { mediaOnDemand, ...resume }: EngineStart,
    turn: PromptTurn,
    outer: AbortSignal,
  ): Promise<void> {
    using stop = linkedAbort(outer);
    const { signal } = stop;
    const { awaited, encodes } = this.dependencies;
    const incoming = new EventQueue<Incoming>({ most: maxUnread });
    const follow = (source: Promise<void>): void => void source.catch((reason) => incoming.fail(reason));
    // What a hung engine may still say later finds nobody: its stream is closed.
    const onSilence = (): void => stop.abort(lease.silence.reason);
    lease.silence.addEventListener('abort', onSilence, { once: true });
    if (lease.silence.aborted) onSilence();
    try {
      // Both at once: the engine prefills the words before a picture while the picture is being encoded. The encode jobs
      // leave first, since what they begin takes longer.
      if (mediaOnDemand) lease.complete();
      else follow(encodes.sendAll(this.attempt, lease.inbox, signal).then(() => awaited.look()));
      if (this.request.items.length > 0) follow(this.resendLost(lease, signal));
      follow(this.readEngine(lease, { ...resume, mediaOnDemand }, incoming, signal));
      let drawing = this.reducer.drawingsDue;
      if (drawing) follow(this.readDrawings(incoming, signal));
      let finished = false;
      for await (const { from, event } of incoming) {
        if (event === undefined) continue;
        if (from === 'generator') {
          this.onDrawing(event as DrawingEvent | StageFailure);
        } else {
          const engineEvent = event as NonNullable<GenerateResponse['event']>;
          if (engineEvent.$case === 'drawingQueued' && !drawing) {
            drawing = true;
            follow(this.readDrawings(incoming, signal));
          }
          // Not awaited: what else the engine says is not to wait for a queue that is full.
          if (engineEvent.$case === 'segmentNeeded') {
            follow(this.resend(engineEvent.value, lease, signal).then(() => awaited.look()));
          }
          this.onEngine(engineEvent, turn);
          if (engineEvent.$case === 'tokens' || engineEvent.$case === 'finished') turn.computed(lease.engineId);
          if (engineEvent.$case === 'segmentArrived' && !encodes.isUnfinished) lease.complete();
          if (engineEvent.$case === 'finished') {
            finished = true;
            // The text is complete: a drawing needs its place no more, and does not hear of its silence.
            lease.silence.removeEventListener('abort', onSilence);
            lease.release();
          }
        }
        awaited.look();
        if (finished && !this.reducer.drawingsDue) {
          this.reducer.enter(RequestState.DONE);
          return;
        }
        if (finished && this.reducer.state !== RequestState.GENERATING) {
          this.reducer.enter(RequestState.GENERATING);
        }
        // A client that reads slowly slows its own stages down, and fills no memory here. What has come is taken in even
        // where the attempt is over.
        const room = this.answer.room();
        if (room !== undefined) await abortable(room, outer);
      }
      outer.throwIfAborted();
      throw engineEnded();
    } finally {
      lease.silence.removeEventListener('abort', onSilence);
      stop.abort();
    }
  }

  private onEngine(event: NonNullable<GenerateResponse['event']>, { follows }: PromptTurn): void {
    const { encodes, admitted } = this.dependencies;
    this.reducer.takeEngineEvent(event);
    switch (event.$case) {
      case 'segmentArrived': {
        const { media, segment, timings } = event.value;
        for (const { stage, queue, busy } of timings) {
          const kind = stage === Stage.ENCODER ? 'encode' : 'connect';
          admitted.tileMade(kind, { queueMs: durationMs(queue), busyMs: durationMs(busy) });
        }
        encodes.arrived(media, segment);
        return;
      }
      case 'drawingQueued':
        admitted.drawingQueued();
        return;
      case 'finished': {
        const { timing, tokenCount: tokens } = event.value;
        // Of an answer that was taken over the engine measured only its own part.
        if (timing === undefined || this.isTakenOver) return;
        const [prefillMs, decodeMs] = [durationMs(timing.prefill), durationMs(timing.decode)];
        const hasMedia = this.request.items.length > 0;
        admitted.written({ timing: { prefillMs, decodeMs }, tokens, hasMedia, promptShared: follows });
        return;
      }
      default:
        return;
    }
  }

  private onDrawing(event: DrawingEvent | StageFailure): void {
    if ('code' in event) {
      throw new TesseraError(event.code, `${event.stage}: ${event.message}`, { stage: event.stage });
    }
    const isNew = this.reducer.takeDrawingEvent(event);
    // It stands on a drawing's last event.
    if (isNew && event.timing !== undefined) this.dependencies.admitted.drawn(event.timing);
  }

  private async readEngine(
    lease: EngineLease,
    { mediaOnDemand, ...resume }: EngineStart,
    incoming: EventQueue<Incoming>,
    signal: AbortSignal,
  ): Promise<void> {
    const { deadlineMs } = this.request;
    const request = generateRequest(this.request, {
      attempt: this.attempt,
      resume,
      takenOver: this.reducer.begun,
      mediaOnDemand,
      drawingsTo: this.dependencies.drawings.address,
    });
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
      if (!isFinished) throw inClientsFields(reason);
    }
    if (!isFinished) throw engineEnded();
  }

  /** What the generator says. @throws DrawingLost when NATS was away and a drawing is due */
  private async readDrawings(incoming: EventQueue<Incoming>, signal: AbortSignal): Promise<void> {
    let isTaken = true;
    const reader: DrawingReader = {
      take: (event) => {
        isTaken = incoming.put({ from: 'generator', event });
        return isTaken;
      },
      room: () => incoming.room(),
      isDue: () => this.reducer.drawingsDue,
    };
    await this.drawingFeed?.readBy(reader, signal);
    if (isTaken) throw engineEnded();
  }

  private async resend(
    { media, segment }: PromptSegmentNeeded,
    lease: EngineLease,
    signal: AbortSignal,
  ): Promise<void> {
    const recipient = { deliverTo: lease.inbox, signal };
    const attempts = { first: this.attempt, next: () => ++this.attempt };
    await this.dependencies.encodes.sendNeeded(media, segment, attempts, recipient);
  }

  /** After each loss of NATS, what it lost of this request's tiles is made again; ends with the attempt. */
  private async resendLost({ inbox }: EngineLease, signal: AbortSignal): Promise<void> {
    const { bus, encodes } = this.dependencies;
    while (!signal.aborted) {
      const reconnected = await bus.reconnected(signal).then(
        () => true,
        () => false,
      );
      if (reconnected) await encodes.resendLost(() => ++this.attempt, { deliverTo: inbox, signal });
    }
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
