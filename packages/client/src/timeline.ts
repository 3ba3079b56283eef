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
}

export function timelineSpan(span: Span): TimelineSpan {
  const { start, duration, media, segment, item } = span;
  return { ...spanWords(span), startMs: durationMs(start), durationMs: durationMs(duration), media, segment, item };
}
