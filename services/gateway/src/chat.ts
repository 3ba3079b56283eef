import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { Bus, ProductInbox } from '@tessera/bus';
import { EventQueue, type LinkedAbort, linkedAbort } from '@tessera/flow';
import {
  type ChatStart,
  type DrawingEvent,
  type Media,
  type MediaPart,
  type ModelInfo,
  quoted,
  RequestState,
  TesseraError,
  type UploadResponse,
} from '@tessera/protocol';
import { AdmittedChoices } from './admission/admitted-choices.js';
import { Arrivals } from './admission/arrivals.js';
import type { ClientLimits } from './admission/client-limits.js';
import type { QueueAttendance } from './admission/queue-attendance.js';
import type { RequestAdmission } from './admission/request-admission.js';
import type { UploadShares } from './admission/upload-shares.js';
import type { AnswerEventBody } from './answer/answer-event.js';
import { joinText, passesText } from './answer/join-text.js';
import { RequestLifecycle, type StateListener } from './answer/request-lifecycle.js';
import { type ConversationLimits, checkConversation } from './conversation/check-conversation.js';
import { numberMedia } from './conversation/number-media.js';
import { type IntakeLimits, MediaIntake } from './intake/media-intake.js';
import { type MediaModel, nameMedia, type PlannedItem } from './intake/media-plan.js';
import { receiveMedia } from './intake/receive-media.js';
import { takeUpload } from './intake/take-upload.js';
import type { AwaitedListener } from './routing/awaited-stages.js';
import { encodeJobs } from './routing/encode-dispatch.js';
import type { EnginePool } from './routing/engine-pool.js';
import { beginnings, PrefixAffinity } from './routing/prefix-affinity.js';
import { type RequestRemains, RoutedChoices } from './routing/routed-choices.js';

export interface ChatLimits extends ConversationLimits, IntakeLimits {
  /** Pixels of one picture. */
  readonly mediaPixels: number;
  /** Requests in flight in this gateway, each as often as it has choices; beyond it new ones are refused at once. */
  readonly requests: number;
  readonly tilesPerJob: number;
  readonly attempts: number;
  /** How long a client may pause before it has sent everything. */
  readonly pauseMs: number;
}

export interface ChatDependencies {
  readonly bus: Bus;
  readonly drawings: ProductInbox<DrawingEvent>;
  readonly engines: EnginePool;
  readonly model: ModelInfo;
  /** Whether an answer may hold drawings. */
  readonly canDraw: boolean;
  /** Absent for a model that takes text only. */
  readonly media: MediaModel | undefined;
  readonly limits: ChatLimits;
  readonly admission: RequestAdmission;
  readonly attendance: QueueAttendance;
  readonly clients: ClientLimits;
  readonly uploads: UploadShares;
  readonly onState: StateListener;
  readonly onAwaited: AwaitedListener;
  /** Told each time a request goes to a further engine. */
  readonly onAttempt: () => void;
  /** Told once a request has an id, for logs and traces. */
  readonly onEnd: (end: { requestId: string; state: RequestState; durationMs: number; error?: TesseraError }) => void;
}

export interface ChatCall {
  /** Who asks, for the limits of one client. */
  readonly client: string;
  readonly signal: AbortSignal;
  /** When the caller's deadline passes, Unix milliseconds. */
  readonly deadlineMs: number;
  /** From `arrive`. */
  readonly arrival?: Disposable;
}

/** A client sends its first message with the headers; one that takes longer holds no place while it does. */
const arrivalMs = 100;

/** Some 200 bytes each; a conversation that is older has left its engine's cache long since. */
const rememberedConversations = 65_536;

/** Events that a client may leave unread before its answer waits for it. */
const maxUnread = 64;

/** The gateway's core: a conversation and its media go in, typed events come out. Knows nothing of any front door. */
export class Chat {
  private active = 0;
  private readonly whenIdle: (() => void)[] = [];
  private readonly cleanings = new Set<Promise<void>>();
  private readonly arrivals = new Arrivals(arrivalMs);
  private readonly affinity = new PrefixAffinity(rememberedConversations);

  constructor(private readonly dependencies: ChatDependencies) {}

  /** Requests in flight, each as often as it has choices. */
  get inFlight(): number {
    return this.active;
  }

  /** Resolves when no request is in flight and what ended ones left on NATS is removed. */
  async idle(): Promise<void> {
    if (this.active > 0) await new Promise<void>((resolve) => this.whenIdle.push(resolve));
    await Promise.all(this.cleanings);
  }

  /**
   * A call has come of which nothing is known. It takes a place until `run` decides on it.
   * @throws TesseraError QUEUE_FULL when no request can be taken, whatever it says
   */
  arrive(): Disposable {
    this.refuseFull();
    return this.arrivals.enter();
  }

  private refuseFull(): void {
    this.refuseBeyond(this.dependencies.limits.requests);
    this.dependencies.admission.refuseFull(this.arrivals.count());
  }

  /** @param places how many a request takes */
  private refuseBeyond(most: number, places = 1): void {
    const arriving = this.arrivals.count();
    const inFlight = this.active + arriving;
    if (inFlight + places <= most) return;
    throw new TesseraError('QUEUE_FULL', `the gateway has ${inFlight} requests in flight; its limit is ${most}`, {
      retryAfterMs: this.dependencies.admission.engineRetryMs(arriving),
    });
  }

  /**
   * Answers one conversation. Leaving the events early cancels the request in every stage. Text that the reader has not
   * fetched is joined: what is ready together leaves together.
   * @param parts the media that the messages name; read until all are whole
   * @returns the answer's events, whose reading throws a TesseraError of the error table
   */
  answer(start: ChatStart, parts: AsyncIterable<MediaPart>, call: ChatCall): AsyncIterableIterator<AnswerEventBody> {
    const stop = linkedAbort(call.signal);
    const onAbandoned = (): void => stop.abort(new TesseraError('CANCELLED', 'the answer is read no more'));
    const events = new EventQueue<AnswerEventBody>({
      join: joinText,
      passes: passesText,
      most: maxUnread,
      onAbandoned,
    });
    this.run(start, parts, { ...call, stop }, events)
      .then(
        () => events.end(),
        (reason) => events.fail(reason),
      )
      .finally(() => stop[Symbol.dispose]());
    return events;
  }

  /**
   * Keeps a media item for later requests, which name it by its digest.
   * @param parts read until the item is whole
   * @throws TesseraError of the error table
   */
  async upload(start: Media, parts: AsyncIterable<MediaPart>, call: ChatCall): Promise<UploadResponse> {
    const { bus, clients, limits, media, uploads } = this.dependencies;
    // It needs no engine.
    this.refuseBeyond(limits.requests);
    if (media === undefined) throw new TesseraError('UNSUPPORTED', 'this model takes text only');
    using place = clients.enter(call.client);
    this.active++;
    try {
      return await takeUpload(start, parts[Symbol.asyncIterator](), call, {
        bus,
        budget: place.budget,
        claim: (upload) => uploads.claim(call.client, upload),
        limits: { ...limits, maxPixels: limits.mediaPixels },
      });
    } finally {
      this.leave(1);
    }
  }

  private async run(
    start: ChatStart,
    parts: AsyncIterable<MediaPart>,
    call: ChatCall & { readonly stop: LinkedAbort },
    events: EventQueue<AnswerEventBody>,
  ): Promise<void> {
    const { bus, drawings, engines, limits, model, admission, clients } = this.dependencies;
    call.arrival?.[Symbol.dispose]();
    this.refuseFull();
    requireModel(start.model, model);
    const conversation = checkConversation(start, limits);
    const { choices } = conversation;
    this.refuseBeyond(limits.requests, choices);
    const { deadlineMs } = call;
    using place = clients.enter(call.client, choices);
    const outline = {
      hasMedia: conversation.media.length > 0,
      maxTokens: conversation.text.maxTokens,
      asksToDraw: start.draw !== undefined,
      drawSteps: conversation.draw.steps,
      deadlineMs,
    };
    using admitted = new AdmittedChoices(admission, outline, choices);
    this.active += choices;
    const requestId = randomBytes(12).toString('hex');
    const lifecycle = new RequestLifecycle(this.dependencies.onState);
    const { stop } = call;
    const { signal } = stop;
    const intake = new MediaIntake(conversation.media, limits, place.budget);
    const seed = conversation.text.seed ?? randomBytes(8).readBigUInt64LE();
    let request: RoutedChoices | undefined;
    let failure: TesseraError | undefined;
    let items: readonly PlannedItem[] = [];
    try {
      // Who came at the same moment is heard first: no refusal waits for the work of those who are admitted.
      await turn();
      const { metadata } = start;
      events.put({ $case: 'accepted', value: { requestId, model, seed, createTime: new Date(), metadata } });
      const planned = await receiveMedia(intake, parts, stop, {
        model: this.dependencies.media,
        bus,
        limits,
      });
      items = planned.items;
      const text = { ...conversation.text, seed };
      const draw = { ...conversation.draw, seed: conversation.draw.seed ?? seed };
      const prompt = numberMedia(conversation, planned.itemOf);
      const digests = items.map(({ digest }) => digest);
      const begun = beginnings(call.client, prompt, digests);
      const known = this.affinity.find(begun);
      // What an engine has in its cache is not encoded again; its request needs a place all the same.
      const jobs = known?.holdsPictures === true ? 0 : encodeJobs(items, limits.tilesPerJob);
      if (items.length > 0) admitted.encodes(jobs);
      request = new RoutedChoices(
        {
          requestId,
          client: call.client,
          priority: start.priority,
          conversation: prompt,
          beginnings: begun,
          items,
          text,
          draw,
          deadlineMs,
        },
        events,
        {
          bus,
          drawings,
          engines,
          affinity: this.affinity,
          known,
          lifecycle,
          admitted,
          tilesPerJob: limits.tilesPerJob,
          maxAttempts: limits.attempts,
          attendance: this.dependencies.attendance,
          onAwaited: this.dependencies.onAwaited,
          onAttempt: this.dependencies.onAttempt,
        },
      );
      await request.run(signal);
    } catch (reason) {
      failure = signal.aborted ? TesseraError.from(signal.reason) : nameMedia(TesseraError.from(reason), items);
      throw failure;
    } finally {
      intake.release();
      if (!lifecycle.ended) {
        lifecycle.enter(
          failure === undefined || failure.code === 'CANCELLED' ? RequestState.CANCELLED : RequestState.FAILED,
        );
      }
      const isComplete = lifecycle.state === RequestState.DONE;
      for (const remains of request?.remains ?? []) this.cleanUp(remains, isComplete);
      this.dependencies.onEnd({ requestId, state: lifecycle.state, durationMs: lifecycle.nowMs(), error: failure });
      this.leave(choices);
    }
  }

  private leave(places: number): void {
    this.active -= places;
    if (this.active === 0) for (const resolve of this.whenIdle.splice(0)) resolve();
  }

  /**
   * Not awaited by the caller: its answer is complete, or it is gone. What fails here ages out by itself. A request that
   * is done has work left only where it was sent again, since a copy may come back from a worker that died.
   */
  private cleanUp({ requestId, encodes, leavesWork }: RequestRemains, isComplete: boolean): void {
    // What an engine may have queued at the last moment is known only once the text is complete.
    const cancels = leavesWork || (!isComplete && this.dependencies.canDraw);
    const cancelling = cancels ? this.dependencies.bus.cancel(requestId) : undefined;
    const cleaning = Promise.allSettled([encodes.close(), cancelling])
      .then(() => undefined)
      .finally(() => this.cleanings.delete(cleaning));
    this.cleanings.add(cleaning);
  }
}

/** @throws TesseraError MODEL_NOT_FOUND when that is not the model that is served; an empty name is */
export function requireModel(name: string, served: ModelInfo): void {
  if (name === '' || name === served.name) return;
  throw new TesseraError('MODEL_NOT_FOUND', `the model served here is ${served.name}, not ${quoted(name)}`, {
    field: 'model',
  });
}
