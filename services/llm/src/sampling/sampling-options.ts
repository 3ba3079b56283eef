/** How the next token is chosen from the logits. */
export interface SamplingOptions {
  /** Divides the logits; 0 takes the likeliest token. */
  readonly temperature: number;
  /** Chooses among this many of the likeliest tokens; 0: all. */
  readonly topK: number;
  /** Chooses among the smallest set of tokens whose probability reaches this; 1: all. Applied after topK. */
  readonly topP: number;
  /** Chooses among tokens that have at least this share of the likeliest one's probability; 0: all. */
  readonly minP: number;
  /** Logits of tokens that stand in prompt or answer are divided by it, or multiplied where they are negative; 1: none. */
  readonly repetitionPenalty: number;
  /** Taken from the logits of tokens that stand in the answer; 0: none. */
  readonly presencePenalty: number;
  /** Taken from the logits of tokens that stand in the answer, as often as they do; 0: none. */
  readonly frequencyPenalty: number;
  /** What is added to the logits of single tokens: id and bias, each id once. */
  readonly logitBias: readonly (readonly [tokenId: number, bias: number])[];
  /** The answer does not end by a token of its own before it has this many. */
  readonly minTokens: number;
  /** How many of the likeliest tokens are told of at each place; undefined: nothing is told, of the chosen one neither. */
  readonly topLogprobs: number | undefined;
  /** Its low 64 bits are used. */
  readonly seed: bigint;
}

/** Takes the likeliest token, and has every other option leave things as they are. */
export const greedySampling: SamplingOptions = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
  minTokens: 0,
  topLogprobs: undefined,
  seed: 1n,
};
