import {
  cast,
  concat,
  div,
  equal,
  gather,
  gatherElements,
  mul,
  reduceSum,
  reshape,
  shapeOf,
  softmax,
  splitBy,
  topK,
  unsqueeze,
  type Value,
} from '../graph/index.js';

export interface MixtureOfExpertsOptions {
  readonly experts: number;
  /** Experts that each row goes to. */
  readonly chosen: number;
  readonly width: number;
  /** Whether the chosen experts' shares are made to sum to 1. */
  readonly normalize: boolean;
}

/**
 * Sends each row of x [rows, width] to the experts that score best for it (`scores` [rows, experts], before softmax),
 * and sums their answers by their shares: [rows, width].
 *
 * Rows are sorted by expert, so that each expert computes its own rows in one piece and nothing else; an expert that
 * nobody chose gets a piece of no rows. A row's answers are summed in the order of the experts' numbers, so its result
 * does not depend on which rows came with it.
 */
export function mixtureOfExperts(
  x: Value,
  scores: Value,
  expert: (index: number, rows: Value) => Value,
  { experts, chosen, width, normalize }: MixtureOfExpertsOptions,
): Value {
  const g = x.graph;
  const k = g.int64(chosen);
  const best = topK(softmax(scores), k, { largest: true });
  const byNumber = topK(best.indices, k, { largest: false });
  const shares = gatherElements(best.values, byNumber.indices, 1);
  const weights = normalize ? div(shares, reduceSum(shares, 1, { keepDims: true })) : shares;

  // Each row appears `chosen` times; `order` lists the appearances expert by expert, `back` undoes it.
  const choices = reshape(byNumber.values, [-1]);
  const all = shapeOf(choices);
  const order = topK(choices, all, { largest: false }).indices;
  const back = topK(order, all, { largest: false }).indices;
  const numbers = g.int64(...Array.from({ length: experts }, (_, i) => i));
  const sizes = reduceSum(cast(equal(unsqueeze(choices, 1), numbers), 'int64'), 0, { keepDims: false });

  const pieces = splitBy(gather(x, div(order, k)), sizes, experts, 0);
  const answers = pieces.map((rows, index) => g.scope(`experts.${index}`, () => expert(index, rows)));
  const returned = reshape(gather(concat(answers as [Value, ...Value[]], 0), back), [-1, chosen, width]);
  return reduceSum(mul(returned, unsqueeze(weights, 2)), 1, { keepDims: false });
}
