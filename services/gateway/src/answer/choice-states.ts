import { durationOf, RequestState } from '@tessera/protocol';
import type { AnswerEventBody } from './answer-event.js';
import { nextStates, type RequestLifecycle } from './request-lifecycle.js';

/** The state of one choice. */
export interface ChoiceState {
  readonly current: RequestState;
  /** Goes into a state; the request follows, and its reader is told, where that changes the state of the whole. */
  enter(next: RequestState): void;
}

/** A choice in one of these needs its engine no more. */
const writtenStates: ReadonlySet<RequestState> = new Set([RequestState.GENERATING, RequestState.DONE]);

/** How far a choice is whose text is not complete. */
const progress: readonly RequestState[] = [RequestState.QUEUED, RequestState.PREFILLING, RequestState.DECODING];

/**
 * The states of a request's choices, and what they make of the request: it is as far as the furthest of those that are
 * still written, and generating, or done, only when all are. With one choice both are the same.
 */
export class ChoiceStates {
  private readonly states: RequestState[];

  /** @param put told each state that the request comes into */
  constructor(
    choices: number,
    private readonly lifecycle: RequestLifecycle,
    private readonly put: (event: AnswerEventBody) => void,
  ) {
    this.states = Array<RequestState>(choices).fill(RequestState.RECEIVING);
  }

  of(choice: number): ChoiceState {
    const current = (): RequestState => this.states[choice] as RequestState;
    return {
      get current() {
        return current();
      },
      enter: (next) => this.enter(choice, next),
    };
  }

  private enter(choice: number, next: RequestState): void {
    this.states[choice] = next;
    const whole = this.whole();
    const { lifecycle } = this;
    if (whole === lifecycle.state) return;
    // While one choice was written others may have come no further than its prompt: the request does not go back there.
    if (this.states.length > 1 && !nextStates(lifecycle.state).includes(whole)) return;
    lifecycle.enter(whole);
    this.put({ $case: 'stateChanged', value: { state: whole, at: durationOf(lifecycle.nowMs()) } });
  }

  private whole(): RequestState {
    const unwritten = this.states.filter((state) => !writtenStates.has(state));
    if (unwritten.length === 0) {
      return this.states.includes(RequestState.GENERATING) ? RequestState.GENERATING : RequestState.DONE;
    }
    // One that has not begun waits for an engine, as far as the reader is concerned.
    return progress[Math.max(0, ...unwritten.map((state) => progress.indexOf(state)))] as RequestState;
  }
}
