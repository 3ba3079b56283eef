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
  /** Tokens of prompt and answer, each once; kept only where they count. */
  readonly #seen: DistinctTokens | undefined;
  /** Tokens of the answer, each once, and how often each stands there; kept only where they count. */
  readonly #written: DistinctTokens | undefined;
  readonly #counts: number[] = [];
  #changedIds = new Int32Array(64);
  #changedFrom = new Float32Array(64);
  #changes = 0;

  /** @param endTokenIds tokens that end the answer */
  constructor(options: AdjustmentOptions, endTokenIds: readonly number[]) {
    const { repetitionPenalty, presencePenalty, frequencyPenalty } = options;
    this.#options = options;
    this.#endTokenIds = endTokenIds;
    this.#seen = repetitionPenalty === 1 ? undefined : new DistinctTokens();
    this.#written = presencePenalty === 0 && frequencyPenalty === 0 ? undefined : new DistinctTokens();
  }

  /** Tells of tokens of the prompt. */
  see(tokenIds: readonly number[]): void {
    if (this.#seen !== undefined) for (const id of tokenIds) this.#seen.add(id);
  }

  /** Tells of a token of the answer. */
  write(tokenId: number): void {
    this.#seen?.add(tokenId);
    if (this.#written === undefined) return;
    const place = this.#written.add(tokenId);
    this.#counts[place] = (this.#counts[place] ?? 0) + 1;
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
      for (const id of this.#seen.ids) {
        const logit = logits[id] as number;
        this.#set(logits, id, logit < 0 ? logit * repetitionPenalty : logit / repetitionPenalty);
      }
    }
    if (this.#written !== undefined) {
      for (const [place, id] of this.#written.ids.entries()) {
        const count = this.#counts[place] as number;
        this.#set(logits, id, (logits[id] as number) - count * frequencyPenalty - presencePenalty);
      }
    }
    if (position < minTokens) for (const id of this.#endTokenIds) this.#set(logits, id, Number.NEGATIVE_INFINITY);
  }

  /** Gives the row back as it was before `apply`. */
  undo(logits: Float32Array): void {
    // Backwards: a token may have been changed more than once.
    for (let at = this.#changes - 1; at >= 0; at--) {
      logits[this.#changedIds[at] as number] = this.#changedFrom[at] as number;
    }
    this.#changes = 0;
  }

  #set(logits: Float32Array, id: number, value: number): void {
    if (this.#changes === this.#changedIds.length) {
      const [ids, from] = [this.#changedIds, this.#changedFrom];
      this.#changedIds = new Int32Array(2 * ids.length);
      this.#changedFrom = new Float32Array(2 * ids.length);
      this.#changedIds.set(ids);
      this.#changedFrom.set(from);
    }
    this.#changedIds[this.#changes] = id;
    this.#changedFrom[this.#changes++] = logits[id] as number;
    logits[id] = value;
  }
}

/** Tokens in the order in which they first came: an array goes through faster than a set, and it is for each token. */
class DistinctTokens {
  readonly ids: number[] = [];
  readonly #places = new Map<number, number>();

  /** @returns the token's place in `ids` */
  add(tokenId: number): number {
    const known = this.#places.get(tokenId);
    if (known !== undefined) return known;
    this.#places.set(tokenId, this.ids.length);
    return this.ids.push(tokenId) - 1;
  }
}
