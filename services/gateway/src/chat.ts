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
  type PromptConversation,
  type PromptPart,
  quoted,
  RequestState,
  TesseraError,
  type UploadResponse,
} from '@tessera/protocol';
import { Arrivals } from './admission/arrivals.js';
import type { ClientLimits } from './admission/client-limits.js';
import type { RequestAdmission } from './admission/request-admission.js';
import type { UploadShares } from './admission/upload-shares.js';
import type { AnswerEventBody } from './answer/answer-reducer.js';
import { RequestLifecycle, type StateListener } from './answer/request-lifecycle.js';
import { type Conversation, type ConversationLimits, checkConversation } from './conversation/check-conversation.js';
import { type IntakeLimits, MediaIntake } from './intake/media-intake.js';
import { type MediaModel, nameMedia, type PlannedItem, planMedia } from './intake/media-plan.js';
import { readParts } from './intake/read-parts.js';
import { takeUpload } from './intake/take-upload.js';
import { EncodeDispatch, encodeJobs } from './routing/encode-dispatch.js';
import type { EnginePool } from './routing/engine-pool.js';
import { beginnings, PrefixAffinity } from './routing/prefix-affinity.js';
import { RoutedRequest } from './routing/routed-request.js';

export interface ChatLimits extends ConversationLimits, IntakeLimits {
  /** Pixels of one picture. */
  readonly mediaPixels: number;
  /** Requests in flight in this gateway; beyond it new ones are refused at once. */
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
  readonly clients: ClientLimits;
  readonly uploads: UploadShares;
  readonly onState: StateListener;
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

/** Tokens whose log-probabilities may leave together. */
const maxJoinedLogprobs = 256;

/** Text of one item that the reader has not fetched leaves together. */
function joinText(last: AnswerEventBody, next: AnswerEventBody): AnswerEventBody | undefined {
  if (last.$case !== 'textDelta' || next.$case !== 'textDelta') return undefined;
  const [one, other] = [last.value, next.value];
  if (one.item !== other.item || one.choice !== other.choice) return undefined;
  // Log-probabilities are far larger than the text: what is joined stays far below the size of a message.
  if (one.logprobs.length + other.logprobs.length > maxJoinedLogprobs) return undefined;
  return {
    $case: 'textDelta',
    value: {
      ...one,
      text: one.text + other.text,
      tokenCount: one.tokenCount + other.tokenCount,
      logprobs: other.logprobs.length === 0 ? one.logprobs : [...one.logprobs, ...other.logprobs],
    },
  };
}

/** The gateway's core: a conversation and its media go in, typed events come out. Knows nothing of any front door. */
export class Chat {
  private active = 0;
  private readonly whenIdle: (() => void)[] = [];
  private readonly cleanings = new Set<Promise<void>>();
  private readonly arrivals = new Arrivals(arrivalMs);
  private readonly affinity = new PrefixAffinity(rememberedConversations);

  constructor(private readonly dependencies: ChatDependencies) {}

  /** Requests in flight. */
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

  private refuseBeyond(most: number): void {
    const arriving = this.arrivals.count();
    const inFlight = this.active + arriving;
    if (inFlight < most) return;
    throw new TesseraError('QUEUE_FULL', `the gateway has ${inFlight} requests in flight, its limit`, {
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
    const events = new EventQueue<AnswerEventBody>({ join: joinText, most: maxUnread, onAbandoned });
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
      this.leave();
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
    const { deadlineMs } = call;
    using place = clients.enter(call.client);
    using admitted = admission.admit({
      hasMedia: conversation.media.length > 0,
      maxTokens: conversation.text.maxTokens,
      asksToDraw: start.draw !== undefined,
      drawSteps: conversation.draw.steps,
      deadlineMs,
    });
    this.active++;
    const requestId = randomBytes(12).toString('hex');
    const lifecycle = new RequestLifecycle(this.dependencies.onState);
    const { stop } = call;
    const { signal } = stop;
    const intake = new MediaIntake(conversation.media, limits, place.budget);
    const seed = conversation.text.seed ?? randomBytes(8).readBigUInt64LE();
    let request: RoutedRequest | undefined;
    let encodes: EncodeDispatch | undefined;
    let failure: TesseraError | undefined;
    let items: readonly PlannedItem[] = [];
    try {
      // Who came at the same moment is heard first: no refusal waits for the work of those who are admitted.
      await turn();
      const { metadata } = start;
      events.put({ $case: 'accepted', value: { requestId, model, seed, createTime: new Date(), metadata } });
      const planned = await this.receive(intake, parts, stop);
      items = planned.items;
      const text = { ...conversation.text, seed };
      const draw = { ...conversation.draw, seed: conversation.draw.seed ?? seed };
      encodes = new EncodeDispatch(bus, limits.tilesPerJob, items, { requestId, deadlineMs });
      const prompt = numberMedia(conversation, planned.itemOf);
      const digests = items.map(({ digest }) => digest);
      const begun = beginnings(call.client, prompt, digests);
      const known = this.affinity.find(begun);
      // What an engine has in its cache is not encoded again.
      if (items.length > 0 && known?.holdsPictures !== true) admitted.encodes(encodeJobs(items, limits.tilesPerJob));
      request = new RoutedRequest(
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
          encodes,
          affinity: this.affinity,
          lifecycle,
          admitted,
          maxAttempts: limits.attempts,
          onAttempt: this.dependencies.onAttempt,
        },
      );
      await request.run(signal);
    } catch (reason) {
      failure = signal.aborted ? TesseraError.from(signal.reason) : nameMedia(TesseraError.from(reason), items);
      throw failure;
    } finally {
      stop.abort();
      intake.release();
      if (!lifecycle.ended) {
        lifecycle.enter(
          failure === undefined || failure.code === 'CANCELLED' ? RequestState.CANCELLED : RequestState.FAILED,
        );
      }
      if (request !== undefined && encodes !== undefined) {
        // What an engine may have queued at the last moment is known only once the text is complete.
        const complete = lifecycle.state === RequestState.DONE;
        this.cleanUp(requestId, encodes, request.leavesWork || (!complete && this.dependencies.canDraw));
      }
      this.dependencies.onEnd({ requestId, state: lifecycle.state, durationMs: lifecycle.nowMs(), error: failure });
      this.leave();
    }
  }

  private leave(): void {
    this.active--;
    if (this.active === 0) for (const resolve of this.whenIdle.splice(0)) resolve();
  }

  private async receive(
    intake: MediaIntake,
    parts: AsyncIterable<MediaPart>,
    stop: LinkedAbort,
  ): Promise<{ items: readonly PlannedItem[]; itemOf: ReadonlyMap<string, number> }> {
    const { signal } = stop;
    const { limits, media } = this.dependencies;
    intake.takeInline();
    await intake.takeUploads((digest) => this.dependencies.bus.findUpload(digest, signal), signal);
    const incoming = parts[Symbol.asyncIterator]();
    await readParts(intake, incoming, limits.pauseMs, signal);
    if (intake.complete) this.refuseMore(incoming, stop);
    return await planMedia(intake.finish(), media, { maxBytes: limits.itemBytes, maxPixels: limits.mediaPixels });
  }

  /** Not awaited: a client that says more after all was said breaks the contract, and its request ends with that. */
  private refuseMore(incoming: AsyncIterator<MediaPart>, stop: LinkedAbort): void {
    incoming.next().then(
      ({ done, value }) => {
        if (done === true) return;
        const name = quoted(value.name);
        stop.abort(
          new TesseraError('REQUEST_INVALID', `a part was sent for media ${name} after all media were complete`, {
            field: 'media_part.name',
          }),
        );
      },
      (reason) => {
        // Anything else is the end of the call, which the call's own signal tells better.
        if (reason instanceof TesseraError) stop.abort(reason);
      },
    );
  }

  /**
   * Not awaited by the caller: its answer is complete, or it is gone. What fails here ages out by itself. A request that
   * is done has work left only where it was sent again, since a copy may come back from a worker that died.
   */
  private cleanUp(requestId: string, encodes: EncodeDispatch, cancel: boolean): void {
    const cancelling = cancel ? this.dependencies.bus.cancel(requestId) : undefined;
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

/** The engine knows media by number; names are the client's. */
function numberMedia(
  { messages, templateArguments }: Conversation,
  itemOf: ReadonlyMap<string, number>,
): PromptConversation {
  const numbered = messages.map(({ role, content }) => ({
    role,
    content: content.map(({ part }): PromptPart => {
      if (part?.$case !== 'media') return { part };
      const item = itemOf.get(part.value);
      if (item === undefined) throw new TesseraError('INTERNAL', 'a media item has no number');
      return { part: { $case: 'media', value: item } };
    }),
  }));
  return { messages: numbered, templateArguments };
}
