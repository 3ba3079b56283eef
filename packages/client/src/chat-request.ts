import type { Message } from './conversation.js';

/** How an answer's text is written. What is absent is as the model's own defaults say. */
export interface TextOptions {
  /** The most tokens to write. */
  readonly maxTokens?: number;
  /** The fewest tokens to write before the model may end its turn; a stop text ends the answer all the same. */
  readonly minTokens?: number;
  /** Divides the logits; 0 is greedy. */
  readonly temperature?: number;
  /** Sample from the smallest set of tokens whose probability reaches this. */
  readonly topP?: number;
  /** Sample from this many of the likeliest tokens. */
  readonly topK?: number;
  /** Sample from tokens that have at least this share of the likeliest one's probability: 0 to 1. */
  readonly minP?: number;
  /** Makes tokens that stand in prompt or answer less likely, over 1, or likelier, below. */
  readonly repetitionPenalty?: number;
  /** Taken from the logit of each token that stands in the answer: -2 to 2. */
  readonly presencePenalty?: number;
  /** Taken from the logit of each token, times how often it stands in the answer: -2 to 2. */
  readonly frequencyPenalty?: number;
  /** Added to the logits, by token id: -100 to 100 each, at most 1024 of them. */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** The same seed gives the same text: a whole number below 2^64. Absent: one that the answer tells. */
  readonly seed?: bigint | number;
  /** Stop before any of these texts. */
  readonly stop?: readonly string[];
  /** Stop at any of these tokens, as at the model's own end of a turn: at most 64. */
  readonly stopTokenIds?: readonly number[];
  /** Ask how likely each token was, and `top` others at its place: 0 to 20. Text events and the answer tell it. */
  readonly logprobs?: { readonly top: number };
  /** The form that the text has; absent: any. A text that is cut by `maxTokens` may not have it. */
  readonly responseFormat?: ResponseFormat;
}

/**
 * The form of a text: any JSON object; JSON that keeps a schema (docs/sampling.md says which keywords there are); or a text
 * that a regular expression matches as a whole.
 */
export type ResponseFormat =
  | { readonly type: 'json_object' }
  | { readonly type: 'json_schema'; readonly schema: unknown; readonly name?: string }
  | { readonly type: 'regex'; readonly pattern: string };

/** How a picture is drawn. What is absent is as the model's own defaults say. */
export interface DrawOptions {
  /** Denoising steps. */
  readonly steps?: number;
  /** Classifier-free guidance: how closely the picture keeps to what was asked. */
  readonly guidance?: number;
  /** The seed of the noise; absent: the text's. */
  readonly seed?: bigint | number;
}

/** A conversation to be answered, and how. */
export interface ChatRequest {
  /** The conversation, oldest first. */
  readonly messages: readonly Message[];
  /** The model's name; absent: the one that is served. */
  readonly model?: string;
  /** How to write. */
  readonly text?: TextOptions;
  /** How to draw, if the model draws. */
  readonly draw?: DrawOptions;
  /**
   * How many answers to make, one by default: each under the seed and its own number, so that choice 2 is what a request
   * for one answer gets under `seed + 2n`. The prompt is computed once.
   */
  readonly choices?: number;
  /** Requests with a higher one go first: from -100 up to what the server allows, 0 by default. */
  readonly priority?: number;
  /** The person for whom this is asked, as you call them; stands in the server's traces. */
  readonly user?: string;
  /** Whatever you want to find again in the `accepted` event: at most 16 entries, of at most 64 and 512 characters. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Variables for the model's chat template: any that JSON can write. */
  readonly templateArguments?: Readonly<Record<string, unknown>>;
}

/** How one call is made. */
export interface CallOptions {
  /** Aborting it cancels the call, in every stage of the server. */
  readonly signal?: AbortSignal;
  /** How long the call may take in all, with fetching its pictures and trying again; absent: as `connect` was told. */
  readonly timeoutMs?: number;
}
