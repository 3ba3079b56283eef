import type { SamplingOptions } from './sampling-options.js';

type AdjustmentOptions = Pick<
  SamplingOptions,
  'repetitionPenalty' | 'presencePenalty' | 'frequencyPenalty' | 'logitBias' | 'minTokens'
>;

/**
 * What is done to single logits before a token is chosen, in this order: bias, repetition penalty, frequency and presence
 * penalties, and no end before `minTokens`. It changes a row in place, at the tokens that it is about alone, and gives it
 * back as it was: a copy of a large vocabulary for each token would cost more than the rest.
 */
export class LogitAdjustments {
  readonly #options: AdjustmentOptions;
  readonly #endTokenIds: readonly number[];
  /** Tokens of prompt and answer; kept only where they count. */
  readonly #seen: Set<number> | undefined;
  /** How often each token stands in the answer; kept only where it counts. */
  readonly #written: Map<number, number> | undefined;
  #changedIds: number[] = [];
  #changedFrom: number[] = [];

  /** @param endTokenIds tokens that end the answer */
  constructor(options: AdjustmentOptions, endTokenIds: readonly number[]) {
    const { repetitionPenalty, presencePenalty, frequencyPenalty } = options;
    this.#options = options;
    this.#endTokenIds = endTokenIds;
    this.#seen = repetitionPenalty === 1 ? undefined : new Set();
    this.#written = presencePenalty === 0 && frequencyPenalty === 0 ? undefined : new Map();
  }

  /** Tells of tokens of the prompt. */
  see(tokenIds: readonly number[]): void {
    if (this.#seen !== undefined) for (const id of tokenIds) this.#seen.add(id);
  }

  /** Tells of a token of the answer. */
  write(tokenId: number): void {
    this.#seen?.add(tokenId);
    this.#written?.set(tokenId, (this.#written.get(tokenId) ?? 0) + 1);
  }

  /**
   * Changes a row, which `undo` gives back.
   * @param logits one row, [vocab]
   * @param position how many tokens the answer has
   */
  apply(logits: Float32Array, position: number): void {
    const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, minTokens } = this.#options;
    for (const [id, bias] of logitBias) this.#set(logits, id, (logits[id] as number) + bias);
    if (this.#seen !== undefined) {
      for (const id of this.#seen) {
        const logit = logits[id] as number;
        this.#set(logits, id, logit < 0 ? logit * repetitionPenalty : logit / repetitionPenalty);
      }
    }
    if (this.#written !== undefined) {
      for (const [id, count] of this.#written) {
        this.#set(logits, id, (logits[id] as number) - count * frequencyPenalty - presencePenalty);
      }
    }
    if (position < minTokens) for (const id of this.#endTokenIds) this.#set(logits, id, Number.NEGATIVE_INFINITY);
  }

  /** Gives the row back as it was before `apply`. */
  undo(logits: Float32Array): void {
    // Backwards: a token may have been changed more than once.
    for (let at = this.#changedIds.length - 1; at >= 0; at--) {
      logits[this.#changedIds[at] as number] = this.#changedFrom[at] as number;
    }
    this.#changedIds.length = 0;
    this.#changedFrom.length = 0;
  }

  #set(logits: Float32Array, id: number, value: number): void {
    this.#changedIds.push(id);
    this.#changedFrom.push(logits[id] as number);
    logits[id] = value;
  }
}
