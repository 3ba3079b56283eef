import { RandomStream } from '@tessera/inference';
import { TesseraError } from '@tessera/protocol';
import type { SamplingOptions } from './sampling-options.js';
import { topTokens } from './top-tokens.js';

/** Index of the largest logit, the first among equals. */
function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[best] as number)) best = i;
  if (!Number.isFinite(logits[best])) {
    throw new TesseraError('INTERNAL', 'the model gave logits that are not numbers');
  }
  return best;
}

/** Penalised logits of one row at a time; see `scratch`. */
let penalisedScratch = new Float32Array(0);

/** A copy in which the tokens seen are less likely: what transformers calls the repetition penalty. */
function penalised(logits: Float32Array, seen: Iterable<number>, penalty: number): Float32Array {
  if (penalisedScratch.length < logits.length) penalisedScratch = new Float32Array(logits.length);
  const result = penalisedScratch.subarray(0, logits.length);
  result.set(logits);
  for (const id of seen) {
    const logit = logits[id] as number;
    result[id] = logit < 0 ? logit * penalty : logit / penalty;
  }
  return result;
}

/** Scratch for one row at a time; sampling is synchronous, so all samplers of a thread share it. */
let scratch = new Float64Array(0);

/**
 * Chooses the tokens of one sequence. The choice at a position depends on the logits, the options, the position and the
 * tokens before it alone, so it is the same in every batch and after every restart.
 */
export class Sampler {
  readonly #options: SamplingOptions;
  readonly #random: RandomStream;
  /** Kept only where it counts. */
  readonly #seen: Set<number> | undefined;

  constructor(options: SamplingOptions) {
    this.#options = options;
    this.#random = new RandomStream(options.seed, 'text');
    this.#seen = options.repetitionPenalty === 1 ? undefined : new Set();
  }

  /** Tells which tokens come before those that are chosen: the prompt's, and those of the answer that were given. */
  see(tokenIds: readonly number[]): void {
    for (const id of tokenIds) this.#seen?.add(id);
  }

  /**
   * Chooses a token, which is then seen.
   * @param logits one row, [vocab]
   * @param position the token's place in the answer, counted from 0
   * @throws TesseraError INTERNAL when the logits are not numbers
   */
  sample(logits: Float32Array, position: number): number {
    const { repetitionPenalty } = this.#options;
    const scores = this.#seen === undefined ? logits : penalised(logits, this.#seen, repetitionPenalty);
    const id = this.#choose(scores, position);
    this.#seen?.add(id);
    return id;
  }

  #choose(logits: Float32Array, position: number): number {
    const best = likeliest(logits);
    const { temperature, topK, topP } = this.#options;
    if (temperature === 0 || topK === 1 || topP === 0) return best;

    if (scratch.length < logits.length) scratch = new Float64Array(logits.length);
    const weights = scratch.subarray(0, logits.length);
    const highest = logits[best] as number;
    for (let id = 0; id < weights.length; id++)
      weights[id] = Math.exp(((logits[id] as number) - highest) / temperature);

    const target = this.#random.uniform(position);
    const usesTopK = topK > 0 && topK < logits.length;
    if (!usesTopK && topP >= 1) return draw(allIds(logits.length), weights, target);
    const candidates = usesTopK
      ? topTokens(logits, allIds(logits.length), topK)
      : nucleusCandidates(logits, weights, topP);
    const total = usesTopK ? sumOf(candidates, weights) : sumOf(allIds(logits.length), weights);
    return draw(nucleus(candidates, weights, topP * total), weights, target);
  }
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
