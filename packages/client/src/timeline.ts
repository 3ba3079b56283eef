import { durationMs, type Span, spanWords } from '@tessera/protocol';

/** One thing that happened to a request, on the gateway's clock. */
export interface TimelineSpan {
  /** Which stage did it: `gateway`, `encoder`, `connector`, `llm` or `generator`. */
  readonly stage: string;
  /**
   * What happened: `queue`, `encode`, `connect`, `prefill`, `decode` or `denoise`; of the gateway the state that the
   * request was in.
   */
  readonly name: string;
  /** When it began, since the request was accepted. */
  readonly startMs: number;
  /** How long it took. */
  readonly durationMs: number;
  /** The picture, counted from 0 in the order in which the conversation shows them first; absent where none is meant. */
  readonly media?: number;
  /** The part of that picture that was looked at on its own. */
  readonly segment?: number;
  /** The item of the answer; absent where none is meant. */
  readonly item?: number;
  /** The choice of the answer; absent where none is meant. */
  readonly choice?: number;
}

export function timelineSpan(span: Span): TimelineSpan {
  const { start, duration, media, segment, item, choice } = span;
  const times = { startMs: durationMs(start), durationMs: durationMs(duration) };
  return { ...spanWords(span), ...times, media, segment, item, choice };
}
