import { TesseraError } from '@tessera/protocol';
import type { SamplingOptions } from './sampling-options.js';
import { topTokens } from './top-tokens.js';

type ChoiceOptions = Pick<SamplingOptions, 'temperature' | 'topK' | 'topP' | 'minP'>;

/** Scratch for one row at a time; sampling is synchronous, so all samplers of a thread share it. */
let scratch = new Float64Array(0);

/**
 * Chooses a token: temperature, then top-k, top-p and min-p, each among what the one before left; of equal logits the one
 * with the lower id counts as the likelier. What is left has shares of [0, 1) by its probability, in order of the ids, and
 * the token is that in whose share the random number falls.
 * @param logits one row, [vocab]
 * @param random gives a number of [0, 1); not asked where the likeliest token is taken
 * @throws TesseraError MODEL_OUTPUT_INVALID when the logits are not numbers
 */
export function chooseToken(
  logits: Float32Array,
  { temperature, topK, topP, minP }: ChoiceOptions,
  random: () => number,
): number {
  const best = likeliest(logits);
  if (temperature === 0 || topK === 1 || topP === 0) return best;

  if (scratch.length < logits.length) scratch = new Float64Array(logits.length);
  const weights = scratch.subarray(0, logits.length);
  const highest = logits[best] as number;
  for (let id = 0; id < weights.length; id++) weights[id] = Math.exp(((logits[id] as number) - highest) / temperature);

  const target = random();
  const usesTopK = topK > 0 && topK < logits.length;
  const all = allIds(logits.length);
  // The likeliest weighs 1.
  const isLikely = (id: number): boolean => (weights[id] as number) >= minP;
  if (!usesTopK && topP >= 1) return draw(minP > 0 ? all.filter(isLikely) : all, weights, target);
  const candidates = usesTopK ? topTokens(logits, all, topK) : nucleusCandidates(logits, weights, topP);
  const total = sumOf(usesTopK ? candidates : all, weights);
  const kept = nucleus(candidates, weights, topP * total).filter(isLikely);
  return draw(
    kept.sort((a, b) => a - b),
    weights,
    target,
  );
}

/** Index of the largest logit, the first among equals. */
function likeliest(logits: Float32Array): number {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] as number;
    // Also true of what is not a number.
    if (!(logit <= highest)) {
      if (!(logit < Number.POSITIVE_INFINITY)) {
        throw new TesseraError('MODEL_OUTPUT_INVALID', `the model gave ${logit} as the logit of token ${id}`);
      }
      highest = logit;
      best = id;
    }
  }
  if (best < 0) throw new TesseraError('MODEL_OUTPUT_INVALID', 'the model gave no token a finite logit');
  return best;
}

let ids: readonly number[] = [];

/** 0, 1, …, count - 1; kept, since the vocabulary stays the same. */
function allIds(count: number): readonly number[] {
  if (ids.length !== count) ids = Array.from({ length: count }, (_, id) => id);
  return ids;
}

function sumOf(candidates: readonly number[], weights: Float64Array): number {
  let total = 0;
  for (const id of candidates) total += weights[id] as number;
  return total;
}

/**
 * All tokens that can be in the nucleus, likeliest first. One whose probability is below (1 - topP) / vocabulary
 * cannot be: all such together weigh less than what the nucleus leaves out.
 */
function nucleusCandidates(logits: Float32Array, weights: Float64Array, topP: number): readonly number[] {
  const all = allIds(logits.length);
  const least = ((1 - topP) / logits.length) * sumOf(all, weights);
  const candidates = all.filter((id) => (weights[id] as number) >= least);
  return topTokens(logits, candidates, candidates.length);
}

/** The shortest beginning of `candidates` that weighs `enough`. */
function nucleus(candidates: readonly number[], weights: Float64Array, enough: number): readonly number[] {
  let sum = 0;
  for (let count = 0; count < candidates.length; count++) {
    sum += weights[candidates[count] as number] as number;
    if (sum >= enough) return candidates.slice(0, count + 1);
  }
  return candidates;
}

/** The token in whose share of the whole weight the number `target` of [0, 1) falls. */
function draw(candidates: readonly number[], weights: Float64Array, target: number): number {
  const mark = target * sumOf(candidates, weights);
  let sum = 0;
  for (const id of candidates) {
    sum += weights[id] as number;
    if (sum > mark) return id;
  }
  // Rounding alone leads here: the last token with any weight.
  return candidates.findLast((id) => (weights[id] as number) > 0) as number;
}
