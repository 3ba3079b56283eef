import { durationOf, RequestState, type Span, Stage, TesseraError, Work } from '@tessera/protocol';

/**
 * The states of a request and where each may go. Every state of architecture.md's failure contract is here: queued,
 * encoding and connecting run beside prefilling (the engine waits for tiles), generating and delivering end it.
 */
const transitions: Readonly<Record<RequestState, readonly RequestState[]>> = {
  [RequestState.UNSPECIFIED]: [RequestState.RECEIVING],
  [RequestState.RECEIVING]: [RequestState.QUEUED, RequestState.FAILED, RequestState.CANCELLED],
  [RequestState.QUEUED]: [RequestState.PREFILLING, RequestState.FAILED, RequestState.CANCELLED],
  [RequestState.PREFILLING]: [
    RequestState.DECODING,
    // Of a text that is complete an engine makes a lost drawing's condition again, and writes nothing.
    RequestState.GENERATING,
    // The engine died before its first token: another one takes the request.
    RequestState.QUEUED,
    RequestState.DONE,
    RequestState.FAILED,
    RequestState.CANCELLED,
  ],
  [RequestState.DECODING]: [
    RequestState.GENERATING,
    RequestState.QUEUED,
    RequestState.DONE,
    RequestState.FAILED,
    RequestState.CANCELLED,
  ],
  [RequestState.GENERATING]: [
    // NATS lost the drawing's job: an engine goes back to the token that asks for it.
    RequestState.QUEUED,
    RequestState.DONE,
    RequestState.FAILED,
    RequestState.CANCELLED,
  ],
  [RequestState.DONE]: [],
  [RequestState.FAILED]: [],
  [RequestState.CANCELLED]: [],
};

/** The word for a state, as metrics, spans and docs write it. */
export function stateName(state: RequestState): string {
  return RequestState[state].toLowerCase();
}

/** Where a request may go from a state; docs/requests.md is made from this. */
export function nextStates(state: RequestState): readonly RequestState[] {
  return transitions[state];
}

export type StateListener = (entered: RequestState, left: RequestState) => void;

/** What of a request a span is about. */
export type SpanPlace = Pick<Span, 'media' | 'segment' | 'item' | 'choice'>;

/** What a stage measured of one piece of work. */
export interface WorkTimes {
  readonly queueMs: number;
  readonly busyMs: number;
  /** Unix milliseconds, on the stage's clock. */
  readonly endedAtMs: number;
}

/** One request's way through the states, and the spans that its time line shows. */
export class RequestLifecycle {
  private readonly acceptedAt = performance.now();
  private readonly acceptedAtEpochMs = Date.now();
  private current: RequestState = RequestState.UNSPECIFIED;
  private enteredAtMs = 0;
  private readonly recorded: Span[] = [];

  constructor(private readonly listener: StateListener) {
    this.enter(RequestState.RECEIVING);
  }

  get state(): RequestState {
    return this.current;
  }

  get ended(): boolean {
    return transitions[this.current].length === 0;
  }

  get spans(): readonly Span[] {
    return this.recorded;
  }

  /** Milliseconds since the request was accepted, on the gateway's monotonic clock. */
  nowMs(): number {
    return performance.now() - this.acceptedAt;
  }

  /** Goes into a state; a step that the table does not have is a fault in the gateway. */
  enter(next: RequestState): void {
    if (!transitions[this.current].includes(next)) {
      throw new TesseraError('INTERNAL', `a request cannot go from ${stateName(this.current)} to ${stateName(next)}`);
    }
    const nowMs = this.nowMs();
    if (this.current !== RequestState.UNSPECIFIED) {
      this.add(Stage.GATEWAY, { $case: 'state', value: this.current }, this.enteredAtMs, nowMs - this.enteredAtMs);
    }
    const left = this.current;
    this.current = next;
    this.enteredAtMs = nowMs;
    this.listener(next, left);
  }

  /**
   * Records what a stage measured. Stages know their own wall clock only, so the place on the time line is as exact as
   * the clocks agree; the durations are exact.
   */
  addStageWork(stage: Stage, work: Work, times: WorkTimes, place: SpanPlace): void {
    const { queueMs, busyMs, endedAtMs } = times;
    const startMs = Math.max(0, endedAtMs - this.acceptedAtEpochMs - busyMs);
    this.addWork(stage, Work.QUEUE, startMs - queueMs, queueMs, place);
    this.addWork(stage, work, startMs, busyMs, place);
  }

  /** Records what a stage did, in milliseconds since the request was accepted. */
  addWork(stage: Stage, work: Work, startMs: number, lengthMs: number, place: SpanPlace = {}): void {
    this.add(stage, { $case: 'work', value: work }, startMs, lengthMs, place);
  }

  private add(stage: Stage, what: Span['what'], startMs: number, lengthMs: number, place: SpanPlace = {}): void {
    const [start, duration] = [durationOf(Math.max(0, startMs)), durationOf(Math.max(0, lengthMs))];
    this.recorded.push({ stage, what, start, duration, ...place });
  }
}
