import { LogitRow } from './logit-row.js';

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

/** One row at a time: sampling is synchronous, so all samplers of a thread share it. */
const row = new LogitRow();

/**
 * Looks a token up in the softmax of a row.
 * @param logits one row, [vocab], as the model gave it
 * @param top how many of the likeliest are told
 */
export function tokenLikelihood(logits: Float32Array, tokenId: number, top: number): TokenLikelihood {
  row.read(logits);
  row.weighBy(1);
  const logTotal = row.highest + Math.log(row.total());
  const likelihood = (id: number): Likelihood => ({ tokenId: id, logprob: (logits[id] as number) - logTotal });
  if (top === 0) return { ...likelihood(tokenId), top: [] };
  const { ids, count } = row.largest(top);
  const ranked = [...ids.subarray(0, count)].sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b);
  return { ...likelihood(tokenId), top: ranked.map(likelihood) };
}
