import { RandomStream } from '@tessera/inference';
import type { Constraint } from '../constraint/constraints.js';
import { chooseAllowed } from './choose-allowed.js';
import { chooseToken } from './choose-token.js';
import { LogitAdjustments } from './logit-adjustments.js';
import type { SamplingOptions } from './sampling-options.js';
import { type TokenLikelihood, tokenLikelihood } from './token-likelihood.js';

/** A token that was chosen. */
export interface SampledToken {
  readonly id: number;
  /** Where the options ask for it. */
  readonly likelihood?: TokenLikelihood;
}

/**
 * Chooses the tokens of one sequence. The choice at a position depends on the logits, the options, the position and the
 * tokens before it alone, so it is the same in every batch and after every restart.
 *
 * The order is that of transformers: logit bias, repetition penalty, frequency and presence penalties, no end before
 * `minTokens`, nothing outside the form; then temperature, top-k, top-p and min-p, each among what the one before left.
 */
export class Sampler {
  readonly #options: SamplingOptions;
  readonly #adjustments: LogitAdjustments;
  readonly #random: RandomStream;

  readonly #constraint: Constraint | undefined;

  /**
   * @param endTokenIds tokens that end the answer
   * @param constraint the form that the answer has
   */
  constructor(options: SamplingOptions, endTokenIds: Iterable<number> = [], constraint?: Constraint) {
    this.#options = options;
    this.#constraint = constraint;
    this.#adjustments = new LogitAdjustments(options, [...endTokenIds]);
    this.#random = new RandomStream(options.seed, 'text');
  }

  /** Tells of the tokens of the prompt. */
  see(tokenIds: readonly number[]): void {
    this.#adjustments.see(tokenIds);
  }

  /** Tells of tokens with which the answer begins, and which were not chosen here. */
  resume(tokenIds: readonly number[]): void {
    for (const id of tokenIds) this.#write(id);
  }

  /**
   * Chooses a token, which then stands in the answer.
   * @param logits one row, [vocab]; changed during the call, and as it was after it
   * @param position the token's place in the answer, counted from 0
   * @throws TesseraError MODEL_OUTPUT_INVALID when the logits are not numbers
   */
  sample(logits: Float32Array, position: number): SampledToken {
    const id = this.#choose(logits, position);
    this.#write(id);
    const { topLogprobs } = this.#options;
    // Of what the model gave, and not of what the options made of it.
    return topLogprobs === undefined ? { id } : { id, likelihood: tokenLikelihood(logits, id, topLogprobs) };
  }

  #write(id: number): void {
    this.#adjustments.write(id);
    this.#constraint?.write(id);
  }

  #choose(logits: Float32Array, position: number): number {
    this.#adjustments.apply(logits, position);
    try {
      const choose = (row: Float32Array): number =>
        chooseToken(row, this.#options, () => this.#random.uniform(position));
      return this.#constraint === undefined ? choose(logits) : chooseAllowed(logits, this.#constraint.mask(), choose);
    } finally {
      this.#adjustments.undo(logits);
    }
  }
}
