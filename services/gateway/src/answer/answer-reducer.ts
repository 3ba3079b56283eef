import {
  type DrawingEvent,
  durationMs,
  type GenerateResponse,
  Modality,
  type ModalityTokens,
  RequestState,
  type SequenceAdmitted,
  type SequenceFinished,
  Stage,
  TesseraError,
  type TokenLogprob,
  type TokensWritten,
  type Usage,
  Work,
} from '@tessera/protocol';
import type { AnswerEventBody } from './answer-event.js';
import type { ChoiceState } from './choice-states.js';
import { DeliveredAnswer, type ResumePoint } from './delivered-answer.js';
import type { RequestLifecycle } from './request-lifecycle.js';

type EngineEvent = NonNullable<GenerateResponse['event']>;
type ValueOf<C extends EngineEvent['$case']> = Extract<EngineEvent, { $case: C }>['value'];

/** Every drawing is a PNG. */
const drawingContent = { modality: Modality.IMAGE, mimeType: 'image/png' };

/** So many log-probabilities of tokens without text wait for an item; with more, one begins without text. */
const mostUntoldLogprobs = 256;

const works: Readonly<Record<number, Work>> = { [Stage.ENCODER]: Work.ENCODE, [Stage.CONNECTOR]: Work.CONNECT };

/** Where the events of one choice go, and what of the request they are told with. */
export interface AnswerReducerOptions {
  /** The choice, counted from 0. */
  readonly choice: number;
  readonly state: ChoiceState;
  readonly lifecycle: RequestLifecycle;
  /** Where the events go. */
  readonly put: (event: AnswerEventBody) => void;
  /** By the number of an item in the engine's request, its number among the declarations. */
  readonly declaredMedia?: readonly number[];
}

/**
 * Folds what engines and generators say, over all attempts, into the events of one choice of an answer: its states, output
 * items in the order of the content, and what it took. It does nothing else, and knows no transport.
 */
export class AnswerReducer {
  private readonly delivered = new DeliveredAnswer();
  private prompt: SequenceAdmitted | undefined;
  private nextItem = 0;
  /** The item that text goes to, until something else comes. */
  private textItem: number | undefined;
  /** Tokens without text that no item has yet. */
  private untoldTokens = 0;
  private untoldLogprobs: TokenLogprob[] = [];
  /** Segments that were told, as `media/segment`. */
  private readonly toldSegments = new Set<string>();
  /** The items of drawings. */
  private readonly drawingItems = new Map<number, number>();
  /** What generators said of drawings whose place in the answer the engine has not told yet. */
  private early: DrawingEvent[] = [];

  constructor(private readonly options: AnswerReducerOptions) {}

  /** Whether an engine had it: then it goes on, and does not begin. */
  get begun(): boolean {
    return this.prompt !== undefined;
  }

  /** Of the prompt, as an engine counted them; 0 before that. */
  get promptTokens(): number {
    return this.prompt?.promptTokens ?? 0;
  }

  /** Whether a drawing is queued and not delivered. */
  get drawingsDue(): boolean {
    return this.delivered.drawingsDue;
  }

  /** An engine goes on after everything that was delivered. */
  resume(): ResumePoint {
    return this.delivered.resume();
  }

  /** As DeliveredAnswer's. What waits of the lost making is not joined to the next one's. */
  resumeWithLostDrawings(): ResumePoint {
    this.early = [];
    return this.delivered.resumeWithLostDrawings();
  }

  /** The state that the choice is in. */
  get state(): RequestState {
    return this.options.state.current;
  }

  enter(state: RequestState): void {
    this.options.state.enter(state);
  }

  /** Takes in one event of the attempt's engine. */
  takeEngineEvent(event: EngineEvent): void {
    switch (event.$case) {
      case 'admitted':
        this.prompt = event.value;
        this.enter(RequestState.PREFILLING);
        return;
      case 'segmentArrived':
        this.takeSegment(event.value);
        return;
      case 'tokens':
        this.takeTokens(event.value);
        return;
      case 'drawingQueued':
        this.takeQueuedDrawing(event.value.drawing);
        return;
      case 'finished':
        this.takeEnd(event.value);
        return;
      default:
        return;
    }
  }

  /**
   * Takes in one event of a drawing. What is told a second time, by a further attempt, is passed over.
   * @returns whether it was told for the first time
   */
  takeDrawingEvent(event: DrawingEvent): boolean {
    const drawing = event.key?.item;
    if (drawing === undefined || event.event === undefined) return false;
    const item = this.drawingItems.get(drawing);
    if (item === undefined) {
      this.early.push(event);
      return true;
    }
    if (!this.delivered.takeDrawingEvent(event)) return false;
    const { choice, lifecycle, put } = this.options;
    if (event.event.$case === 'progress') {
      const { step, steps } = event.event.value;
      put({ $case: 'mediaProgress', value: { item, choice, step, steps } });
      return true;
    }
    const { data, last } = event.event.value;
    put({ $case: 'mediaPart', value: { item, choice, data, last } });
    if (last) put({ $case: 'itemFinished', value: { item, choice } });
    if (event.timing !== undefined) {
      lifecycle.addStageWork(Stage.GENERATOR, Work.DENOISE, event.timing, { item, choice });
    }
    return true;
  }

  /**
   * What it took, once it has its text and its drawings.
   * @throws TesseraError INTERNAL before that
   */
  usage(): Usage {
    const outputTokens = this.delivered.end?.tokenCount;
    if (this.prompt === undefined || outputTokens === undefined) {
      throw new TesseraError('INTERNAL', 'an answer is done that has no end');
    }
    const { promptTokens, cachedTokens, byModality } = this.prompt;
    const written: ModalityTokens[] = [{ modality: Modality.TEXT, tokenCount: outputTokens }];
    return {
      inputTokens: promptTokens,
      cachedInputTokens: cachedTokens,
      outputTokens,
      inputByModality: byModality,
      outputByModality: outputTokens > 0 ? written : [],
      outputMedia: this.delivered.drawings,
    };
  }

  private takeSegment({ media, segment, tokenCount, timings }: ValueOf<'segmentArrived'>): void {
    const { choice, declaredMedia = [], lifecycle, put } = this.options;
    const declared = declaredMedia[media] ?? media;
    for (const { stage, queue, busy, endTime } of timings) {
      const times = {
        queueMs: durationMs(queue),
        busyMs: durationMs(busy),
        endedAtMs: endTime?.getTime() ?? Date.now(),
      };
      lifecycle.addStageWork(stage, works[stage] ?? Work.UNSPECIFIED, times, { media: declared, segment });
    }
    // A further engine has them all sent to it again, and other choices find them in its cache.
    const key = `${media}/${segment}`;
    if (choice > 0 || this.toldSegments.has(key)) return;
    this.toldSegments.add(key);
    put({ $case: 'segmentArrived', value: { media: declared, segment, tokenCount } });
  }

  private takeTokens({ tokenIds, text, logprobs }: TokensWritten): void {
    const { choice, put } = this.options;
    if (this.state === RequestState.PREFILLING) this.enter(RequestState.DECODING);
    this.delivered.takeTokens(tokenIds);
    const tokenCount = this.untoldTokens + tokenIds.length;
    const allLogprobs = this.untoldLogprobs.length === 0 ? logprobs : [...this.untoldLogprobs, ...logprobs];
    // A token without text, such as the one that asks for a drawing, begins no item.
    if (this.textItem === undefined && text === '' && allLogprobs.length < mostUntoldLogprobs) {
      this.untoldTokens = tokenCount;
      this.untoldLogprobs = allLogprobs;
      return;
    }
    this.untoldTokens = 0;
    this.untoldLogprobs = [];
    if (this.textItem === undefined) {
      this.textItem = this.nextItem++;
      const content = { $case: 'text' as const, value: {} };
      put({ $case: 'itemStarted', value: { item: this.textItem, choice, content } });
    }
    put({ $case: 'textDelta', value: { item: this.textItem, choice, text, tokenCount, logprobs: allLogprobs } });
  }

  private endText(): void {
    if (this.textItem === undefined) return;
    const { choice, put } = this.options;
    put({ $case: 'itemFinished', value: { item: this.textItem, choice } });
    this.textItem = undefined;
  }

  private takeQueuedDrawing(drawing: number): void {
    this.delivered.takeQueuedDrawing(drawing);
    // One that was lost and is queued again keeps its place.
    if (this.drawingItems.has(drawing)) return;
    const { choice, put } = this.options;
    this.endText();
    const item = this.nextItem++;
    this.drawingItems.set(drawing, item);
    const content = { $case: 'media' as const, value: drawingContent };
    put({ $case: 'itemStarted', value: { item, choice, content } });
    const early = this.early;
    this.early = [];
    for (const event of early) this.takeDrawingEvent(event);
  }

  private takeEnd({ reason, tokenCount, timing, cachedTokens }: SequenceFinished): void {
    const { choice, lifecycle, put } = this.options;
    // What an engine found in its cache it knows only once it has computed the prompt.
    if (this.prompt !== undefined) this.prompt = { ...this.prompt, cachedTokens };
    if (this.delivered.takeEnd({ reason, tokenCount })) {
      this.endText();
      put({ $case: 'choiceFinished', value: { choice, reason, tokenCount } });
    }
    if (timing === undefined) return;
    let endMs = lifecycle.nowMs();
    const phases = [
      [Work.DECODE, durationMs(timing.decode)],
      [Work.PREFILL, durationMs(timing.prefill)],
      [Work.QUEUE, durationMs(timing.queue)],
    ] as const;
    for (const [work, lengthMs] of phases) {
      lifecycle.addWork(Stage.LLM, work, endMs - lengthMs, lengthMs, { choice });
      endMs -= lengthMs;
    }
  }
}
