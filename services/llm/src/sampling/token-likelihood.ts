import { topTokens } from './top-tokens.js';

/** How likely a token is. */
export interface Likelihood {
  readonly tokenId: number;
  /** The natural logarithm of its probability. */
  readonly logprob: number;
}

/** How likely the token was that was chosen, and what else was likely at its place. */
export interface TokenLikelihood extends Likelihood {
  /** The likeliest tokens at its place, likeliest first; of equal ones the lower id. */
  readonly top: readonly Likelihood[];
}

/**
 * Looks a token up in the softmax of a row.
 * @param logits one row, [vocab], as the model gave it
 * @param top how many of the likeliest are told
 */
export function tokenLikelihood(logits: Float32Array, tokenId: number, top: number): TokenLikelihood {
  let highest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) if (logit > highest) highest = logit;
  let weights = 0;
  for (const logit of logits) weights += Math.exp(logit - highest);
  const logTotal = highest + Math.log(weights);
  const likelihood = (id: number): Likelihood => ({ tokenId: id, logprob: (logits[id] as number) - logTotal });
  const all = Array.from(logits, (_, id) => id);
  return { ...likelihood(tokenId), top: topTokens(logits, top === 0 ? [] : all, top).map(likelihood) };
}
