import {
  type AnswerEvent,
  type DrawingEvent,
  durationMs,
  durationOf,
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
  Work,
} from '@tessera/protocol';
import { DeliveredAnswer, type ResumePoint } from './delivered-answer.js';
import type { RequestLifecycle } from './request-lifecycle.js';

/** What one event of an answer says; its number it gets when it leaves. */
export type AnswerEventBody = NonNullable<AnswerEvent['event']>;

type EngineEvent = NonNullable<GenerateResponse['event']>;
type ValueOf<C extends EngineEvent['$case']> = Extract<EngineEvent, { $case: C }>['value'];

/** Every drawing is a PNG. */
const drawingContent = { modality: Modality.IMAGE, mimeType: 'image/png' };

/** One answer a request. */
const choice = 0;

/** So many log-probabilities of tokens without text wait for an item; with more, one begins without text. */
const mostUntoldLogprobs = 256;

const works: Readonly<Record<number, Work>> = { [Stage.ENCODER]: Work.ENCODE, [Stage.CONNECTOR]: Work.CONNECT };

/**
 * Folds what engines and generators say, over all attempts, into the events of one answer: the request's states, output
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

  /**
   * @param put where the events go
   * @param declaredMedia by the number of an item in the engine's request, its number among the declarations
   */
  constructor(
    private readonly lifecycle: RequestLifecycle,
    private readonly put: (event: AnswerEventBody) => void,
    private readonly declaredMedia: readonly number[] = [],
  ) {}

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

  enter(state: RequestState): void {
    this.lifecycle.enter(state);
    this.put({ $case: 'stateChanged', value: { state, at: durationOf(this.lifecycle.nowMs()) } });
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
    if (event.event.$case === 'progress') {
      const { step, steps } = event.event.value;
      this.put({ $case: 'mediaProgress', value: { item, choice, step, steps } });
      return true;
    }
    const { data, last } = event.event.value;
    this.put({ $case: 'mediaPart', value: { item, choice, data, last } });
    if (last) this.put({ $case: 'itemFinished', value: { item, choice } });
    if (event.timing !== undefined) {
      this.lifecycle.addStageWork(Stage.GENERATOR, Work.DENOISE, event.timing, { item, choice });
    }
    return true;
  }

  /** The answer has its text and its drawings: says that it is done. */
  complete(): void {
    this.enter(RequestState.DONE);
    this.put({ $case: 'finished', value: { usage: this.usage(), spans: [...this.lifecycle.spans] } });
  }

  private takeSegment({ media, segment, tokenCount, timings }: ValueOf<'segmentArrived'>): void {
    const declared = this.declaredMedia[media] ?? media;
    for (const { stage, queue, busy, endTime } of timings) {
      const times = {
        queueMs: durationMs(queue),
        busyMs: durationMs(busy),
        endedAtMs: endTime?.getTime() ?? Date.now(),
      };
      this.lifecycle.addStageWork(stage, works[stage] ?? Work.UNSPECIFIED, times, { media: declared, segment });
    }
    // A further engine has them all sent to it again.
    const key = `${media}/${segment}`;
    if (this.toldSegments.has(key)) return;
    this.toldSegments.add(key);
    this.put({ $case: 'segmentArrived', value: { media: declared, segment, tokenCount } });
  }

  private takeTokens({ tokenIds, text, logprobs }: TokensWritten): void {
    if (this.lifecycle.state === RequestState.PREFILLING) this.enter(RequestState.DECODING);
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
      this.put({ $case: 'itemStarted', value: { item: this.textItem, choice, content } });
    }
    this.put({ $case: 'textDelta', value: { item: this.textItem, choice, text, tokenCount, logprobs: allLogprobs } });
  }

  private endText(): void {
    if (this.textItem === undefined) return;
    this.put({ $case: 'itemFinished', value: { item: this.textItem, choice } });
    this.textItem = undefined;
  }

  private takeQueuedDrawing(drawing: number): void {
    this.delivered.takeQueuedDrawing(drawing);
    // One that was lost and is queued again keeps its place.
    if (this.drawingItems.has(drawing)) return;
    this.endText();
    const item = this.nextItem++;
    this.drawingItems.set(drawing, item);
    const content = { $case: 'media' as const, value: drawingContent };
    this.put({ $case: 'itemStarted', value: { item, choice, content } });
    const early = this.early;
    this.early = [];
    for (const event of early) this.takeDrawingEvent(event);
  }

  private takeEnd({ reason, tokenCount, timing, cachedTokens }: SequenceFinished): void {
    // What an engine found in its cache it knows only once it has computed the prompt.
    if (this.prompt !== undefined) this.prompt = { ...this.prompt, cachedTokens };
    if (this.delivered.takeEnd({ reason, tokenCount })) {
      this.endText();
      this.put({ $case: 'choiceFinished', value: { choice, reason, tokenCount } });
    }
    if (timing === undefined) return;
    const { lifecycle } = this;
    let endMs = lifecycle.nowMs();
    const phases = [
      [Work.DECODE, durationMs(timing.decode)],
      [Work.PREFILL, durationMs(timing.prefill)],
      [Work.QUEUE, durationMs(timing.queue)],
    ] as const;
    for (const [work, lengthMs] of phases) {
      lifecycle.addWork(Stage.LLM, work, endMs - lengthMs, lengthMs);
      endMs -= lengthMs;
    }
  }

  private usage() {
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
}
