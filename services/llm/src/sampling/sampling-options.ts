/** How the next token is chosen from the logits. */
export interface SamplingOptions {
  /** Divides the logits; 0 takes the likeliest token. */
  readonly temperature: number;
  /** Chooses among this many of the likeliest tokens; 0: all. */
  readonly topK: number;
  /** Chooses among the smallest set of tokens whose probability reaches this; 1: all. Applied after topK. */
  readonly topP: number;
  /** Logits of tokens that stand in prompt or answer are divided by it, or multiplied where they are negative; 1: none. */
  readonly repetitionPenalty: number;
  /** Its low 64 bits are used. */
  readonly seed: bigint;
}
