import type { SamplingOptions } from '../sampling/sampling-options.js';

/**
 * What may be chosen, and how likely each is, by the plain definitions: the whole vocabulary is sorted and nothing is left
 * out for speed. Those of TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper and MinPLogitsWarper of
 * transformers, in that order; where logits are equal the lower id counts as the likelier one.
 * @returns ids and probabilities, by id
 */
export function referenceDistribution(
  logits: ArrayLike<number>,
  { temperature, topK, topP, minP }: Pick<SamplingOptions, 'temperature' | 'topK' | 'topP' | 'minP'>,
): (readonly [id: number, probability: number])[] {
  const logitOf = (id: number): number => logits[id] as number;
  const sorted = Array.from(logits, (_, id) => id).sort((a, b) => logitOf(b) - logitOf(a) || a - b);
  if (temperature === 0) return [[sorted[0] as number, 1]];
  const byRank = sorted.slice(0, topK === 0 ? undefined : topK);
  const softmax = (ids: readonly number[]): number[] => {
    const weights = ids.map((id) => Math.exp((logitOf(id) - logitOf(sorted[0] as number)) / temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight) => weight / total);
  };
  let nucleus = byRank;
  if (topP < 1) {
    // As weights against the likeliest, so that equal ones add up without rounding.
    const weights = byRank.map((id) => Math.exp((logitOf(id) - logitOf(sorted[0] as number)) / temperature));
    const enough = topP * weights.reduce((sum, weight) => sum + weight, 0);
    let sum = 0;
    let size = 0;
    do sum += weights[size++] as number;
    while (sum < enough && size < byRank.length);
    nucleus = byRank.slice(0, size);
  }
  const probabilities = softmax(nucleus);
  const likely = nucleus.filter((_, rank) => (probabilities[rank] as number) >= minP * (probabilities[0] as number));
  const kept = likely.sort((a, b) => a - b);
  const chances = softmax(kept);
  return kept.map((id, at) => [id, chances[at] as number]);
}

/** The token in whose share the number `random` of [0, 1) falls, where the shares lie in order of the ids. */
export function referenceChoice(distribution: readonly (readonly [number, number])[], random: number): number {
  let sum = 0;
  for (const [id, probability] of distribution) {
    sum += probability;
    if (sum > random) return id;
  }
  return (distribution.at(-1) as readonly [number, number])[0];
}
