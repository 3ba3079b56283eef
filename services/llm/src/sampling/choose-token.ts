import { type Candidates, LogitRow, leaveOnly, rounding } from './logit-row.js';
import type { SamplingOptions } from './sampling-options.js';

type ChoiceOptions = Pick<SamplingOptions, 'temperature' | 'topK' | 'topP' | 'minP'>;

/** One row at a time: sampling is synchronous, so all samplers of a thread share it. */
const row = new LogitRow();

/**
 * Chooses a token: temperature, then top-k, top-p and min-p, each among what the one before left; of equal logits the one
 * with the lower id counts as the likelier. What is left has shares of [0, 1) by its probability, in order of the ids, and
 * the token is that in whose share the random number falls.
 * @param logits of tokens 0 and up; -Infinity where one may not be chosen
 * @param random gives a number of [0, 1); not asked where the likeliest token is taken
 * @throws TesseraError MODEL_OUTPUT_INVALID when the logits are not numbers
 */
export function chooseToken(
  logits: Float32Array,
  { temperature, topK, topP, minP }: ChoiceOptions,
  random: () => number,
): number {
  row.read(logits);
  if (temperature === 0 || topK === 1 || topP === 0) return row.likeliest;
  row.weighBy(temperature);
  const usesTopK = topK > 0 && topK < logits.length;
  if (!usesTopK && topP >= 1 && minP === 0) return row.at(row.total() * random());

  // Each filter leaves the beginning of the tokens by rank, so that the shortest is left whichever comes first; only what
  // top-p is a share of depends on the order.
  let candidates: Candidates;
  if (usesTopK) {
    candidates = row.largest(topK);
    const total = weightOfAll(candidates);
    if (minP > 0) leaveOnly(candidates, (_logit, weight) => weight >= minP);
    if (topP < 1) row.keep(candidates, topP * total);
  } else if (topP < 1) {
    const total = row.total();
    // All that are less likely than this are together less than what top-p leaves out.
    const least = ((1 - topP) / logits.length) * total * (1 - rounding);
    candidates = row.atLeast(Math.max(least, minP));
    row.keep(candidates, topP * total);
  } else {
    candidates = row.atLeast(minP);
  }
  return draw(candidates, random());
}

function weightOfAll({ weights, count }: Candidates): number {
  let total = 0;
  for (let n = 0; n < count; n++) total += weights[n] as number;
  return total;
}

function draw(candidates: Candidates, random: number): number {
  const { ids, weights, count } = candidates;
  const mark = weightOfAll(candidates) * random;
  let sum = 0;
  for (let n = 0; n < count; n++) {
    sum += weights[n] as number;
    if (sum > mark) return ids[n] as number;
  }
  // Rounding alone leads here.
  return ids[count - 1] as number;
}
