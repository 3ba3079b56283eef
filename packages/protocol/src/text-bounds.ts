import { TesseraError } from './errors.js';
import type { TextOptions } from './messages.js';

/** Bounds of how a text is sampled, the same at every door. */
export const textBounds = {
  /** Presence and frequency penalties, from -penalty on. */
  penalty: 2,
  /** A bias, from -bias on. */
  bias: 100,
  /** Entries of logit_bias. */
  biasedTokens: 1024,
  /** Entries of stop_token_ids. */
  stopTokens: 64,
  /** Alternatives told at each place. */
  topLogprobs: 20,
} as const;

/**
 * Checks what every door holds a request's text to. Whether the model has a token of some id, its engine knows.
 * @param path what stands before the names of the fields
 * @throws TesseraError REQUEST_INVALID naming the field
 */
export function checkTextBounds(text: TextOptions, path: string): void {
  const { minTokens, maxTokens, minP, presencePenalty, frequencyPenalty, logitBias, stopTokenIds, logprobs } = text;
  const { penalty, bias, biasedTokens, stopTokens, topLogprobs } = textBounds;
  if (minTokens !== undefined && maxTokens !== undefined) checkMinTokens(minTokens, maxTokens, path);
  inRange(`${path}min_p`, minP, 0, 1);
  inRange(`${path}presence_penalty`, presencePenalty, -penalty, penalty);
  inRange(`${path}frequency_penalty`, frequencyPenalty, -penalty, penalty);
  const biases = Object.entries(logitBias);
  if (biases.length > biasedTokens) {
    throw TesseraError.invalidField(`${path}logit_bias`, `has ${biases.length} entries; the limit is ${biasedTokens}`);
  }
  for (const [id, value] of biases) inRange(`${path}logit_bias[${id}]`, value, -bias, bias);
  inRange(`${path}logprobs.top`, logprobs?.top, 0, topLogprobs);
  if (stopTokenIds.length > stopTokens) {
    throw TesseraError.invalidField(
      `${path}stop_token_ids`,
      `has ${stopTokenIds.length} entries; the limit is ${stopTokens}`,
    );
  }
}

/** @throws TesseraError REQUEST_INVALID where more are asked for than may be written */
export function checkMinTokens(minTokens: number, maxTokens: number, path: string): void {
  if (minTokens <= maxTokens) return;
  throw TesseraError.invalidField(`${path}min_tokens`, `is ${minTokens}, but at most ${maxTokens} are to be written`);
}

function inRange(field: string, value: number | undefined, least: number, most: number): void {
  if (value === undefined || (value >= least && value <= most)) return;
  throw TesseraError.invalidField(field, `is ${value}; it must be from ${least} to ${most}`);
}
