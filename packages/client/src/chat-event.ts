import type { TesseraError } from '@tessera/protocol';
import type { Modality, ModelInfo } from './model.js';
import type { TimelineSpan } from './timeline.js';
import type { Usage } from './usage.js';

/** The request was admitted. Comes again where a call is made again: what came before it does not count. */
export interface AcceptedEvent {
  readonly type: 'accepted';
  /** The request's id; quote it when you report a fault. */
  readonly requestId: string;
  /** The model that answers. */
  readonly model: ModelInfo;
  /** The seed in use; that of a further choice is this and the choice's number. */
  readonly seed: bigint;
  /** When that was, on the gateway's clock. */
  readonly createTime: Date | undefined;
  /** What the request said of itself. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** What a request waits for or has done to it. */
export type RequestState =
  | 'receiving'
  | 'queued'
  | 'prefilling'
  | 'decoding'
  | 'generating'
  | 'done'
  | 'failed'
  | 'cancelled'
  | 'unspecified';

/** The request went into another state. */
export interface StateEvent {
  readonly type: 'state';
  /** The state it is in now. */
  readonly state: RequestState;
  /** When, since the request was accepted. */
  readonly atMs: number;
}

/** One of the services that a request passes. */
export type Stage = 'gateway' | 'encoder' | 'connector' | 'llm' | 'generator' | 'unspecified';

/**
 * The request waits for stages of which no replica is there: they are being started, or they are gone. Told when that begins
 * and at each change; what there is to do for them is done when they come, unless the deadline passes first.
 */
export interface WaitingEvent {
  readonly type: 'waiting';
  /** The stages; none: it waits for no replica any more. */
  readonly stages: readonly Stage[];
  /** When, since the request was accepted. */
  readonly atMs: number;
}

/** The model can see one more part of a picture. */
export interface SegmentEvent {
  readonly type: 'segment';
  /** The picture, counted from 0 in the order in which the conversation shows them first. */
  readonly media: number;
  /** The part. */
  readonly segment: number;
  /** How many tokens it became. */
  readonly tokenCount: number;
}

/** An item of the answer begins: words, or a picture. Words after a picture are an item of their own. */
export interface ItemStartedEvent {
  readonly type: 'item_started';
  /** The choice it is of, counted from 0. */
  readonly choice: number;
  /** The item, counted from 0 in its choice. */
  readonly item: number;
  /** What it is. */
  readonly modality: Modality;
  /** The type of a picture's file, such as `image/png`. */
  readonly mimeType?: string;
}

/** The next piece of text. */
export interface TextEvent {
  readonly type: 'text';
  /** The choice it is of, counted from 0. */
  readonly choice: number;
  /** The item it belongs to. */
  readonly item: number;
  /** The piece; never cuts a character. May be empty: tokens that have no text count too. */
  readonly text: string;
  /** How many tokens it took. */
  readonly tokenCount: number;
  /** How likely each of these tokens was, if asked for. */
  readonly logprobs?: readonly TokenLogprob[];
}

/** A token that was or might have been written. */
export interface LogprobCandidate {
  /** Its id. */
  readonly tokenId: number;
  /** Its bytes in UTF-8, which may cut a character; none where it has no text. */
  readonly bytes: Uint8Array;
  /** The natural logarithm of its probability by the model alone: before penalties, temperature and all else. */
  readonly logprob: number;
}

/** How likely a token was that was written. */
export interface TokenLogprob extends LogprobCandidate {
  /** The likeliest at its place, as many as were asked for, likeliest first. */
  readonly top: readonly LogprobCandidate[];
}

/** A picture is being drawn. */
export interface DrawProgressEvent {
  readonly type: 'draw_progress';
  /** The choice it is of, counted from 0. */
  readonly choice: number;
  /** The item it is. */
  readonly item: number;
  /** Steps done. */
  readonly step: number;
  /** Steps in all. */
  readonly steps: number;
}

/** A picture is complete. */
export interface PictureEvent {
  readonly type: 'picture';
  /** The choice it is of, counted from 0. */
  readonly choice: number;
  /** The item it is. */
  readonly item: number;
  /** The type of the file, such as `image/png`. */
  readonly mimeType: string;
  /** The file. */
  readonly bytes: Uint8Array;
}

/** An item of the answer is complete. */
export interface ItemFinishedEvent {
  readonly type: 'item_finished';
  /** The choice it is of, counted from 0. */
  readonly choice: number;
  /** The item. */
  readonly item: number;
}

/**
 * Why a text ended: the model ended its turn, the limit of tokens or the context was reached, a stop text was written, the
 * model asks for tools, or what was to come may not be said.
 */
export type FinishReason = 'end' | 'length' | 'stop' | 'tool_calls' | 'filter' | 'unspecified';

/** A choice's text is complete; a picture of it may still be drawn. */
export interface TextFinishedEvent {
  readonly type: 'text_finished';
  /** The choice it is of, counted from 0. */
  readonly choice: number;
  /** Why it ended. */
  readonly reason: FinishReason;
  /** Tokens written, those without text included. */
  readonly tokenCount: number;
}

/** The answer is complete; the last event. */
export interface FinishedEvent {
  readonly type: 'finished';
  /** What it took. */
  readonly usage: Usage;
  /** What happened when, stage by stage. */
  readonly timeline: readonly TimelineSpan[];
}

/** The gateway is shutting down: this answer goes on to its end, but new requests should go elsewhere. */
export interface DrainEvent {
  readonly type: 'drain';
}

/** The call failed before anything of the answer had come, and is made again. */
export interface RetryingEvent {
  readonly type: 'retrying';
  /** Why. */
  readonly error: TesseraError;
  /** After how long. */
  readonly pauseMs: number;
  /** Which attempt comes next; the first was 1. */
  readonly attempt: number;
}

/** What happens while an answer is made, in order. Versions to come may add types: ignore those that you do not know. */
export type ChatEvent =
  | AcceptedEvent
  | StateEvent
  | WaitingEvent
  | SegmentEvent
  | ItemStartedEvent
  | TextEvent
  | DrawProgressEvent
  | PictureEvent
  | ItemFinishedEvent
  | TextFinishedEvent
  | FinishedEvent
  | DrainEvent
  | RetryingEvent;
