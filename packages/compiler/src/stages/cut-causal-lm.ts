import type { Module } from '../checkpoint/parameters.js';
import { cast, GraphBuilder, type WeightPrecision } from '../graph/index.js';
import type { AttentionInputs } from '../layers/index.js';
import {
  attentionInputs,
  type CausalLm,
  cachedLayer,
  embeddedInputs,
  head,
  hiddenInput,
  logitPositions,
  type RoutedExperts,
} from './causal-lm.js';

/** A model whose layers of experts can be cut out. */
export type RoutedCausalLm = CausalLm & { readonly routed: RoutedExperts };

/**
 * One section of the model without its experts: from the experts of one layer to those of the next. There is one more of
 * them than layers with experts: the first begins with the embedding, and the last ends with the head. Layers without
 * experts that lie between are in it whole.
 *
 * Inputs as llm.onnx has them (causalLmGraph), but only those that the section needs:
 * - of the first: input_ids, media_embeddings, media_positions; of the others: input_hidden float32 [batch, seq, hidden]
 * - where it has layers: position_ids, seqlens_k, total_sequence_length, and the pasts of its layers
 * - of the last: logit_positions
 *
 * Outputs:
 * - new_key.L, new_value.L, present_key.L, present_value.L of its layers
 * - of the last: logits and hidden, as llm.onnx has them
 * - of the others: residual float32 [batch, seq, hidden], to which the experts' answers are added; rows float32
 *   [batch, seq, hidden], which they are given; experts int32 [batch * seq, chosen], ascending in each row, and shares
 *   float32 [batch * seq, chosen]
 *
 * The next section's input_hidden is residual + the sum of share * answer, summed in the order of the experts' numbers.
 */
export function sectionGraph(
  model: RoutedCausalLm,
  section: number,
  weights: Module,
  precision: WeightPrecision,
): GraphBuilder {
  const { section: sizes, routed } = model;
  const { hiddenSize } = sizes;
  const g = new GraphBuilder(`llm-section-${section}`, precision);
  let hidden = section === 0 ? embeddedInputs(g, model, weights) : hiddenInput(g, model);
  const { whole, routing } = layersOf(model, section);
  const attention = whole.length > 0 || routing !== undefined ? attentionInputs(g, model) : undefined;
  for (const layer of whole) {
    hidden = cachedLayer(g, model, layer, (past) =>
      model.layer(layer, hidden, past, attention as AttentionInputs, weights),
    ).hidden;
  }
  if (routing === undefined) {
    head(g, model, hidden, logitPositions(g), weights);
    return g;
  }
  const { residual, normed } = cachedLayer(g, model, routing, (past) =>
    routed.attend(routing, hidden, past, attention as AttentionInputs, weights),
  );
  const { experts, shares } = g.scope(`layers.${routing}`, () => routed.route(routing, normed, weights));
  g.output('residual', residual, 'float32', ['batch', 'seq', hiddenSize]);
  g.output('rows', normed, 'float32', ['batch', 'seq', hiddenSize]);
  g.output('experts', cast(experts, 'int32'), 'int32', ['rows', routed.chosen]);
  g.output('shares', shares, 'float32', ['rows', routed.chosen]);
  return g;
}

/** The layers that a section has whole, and the one whose attention and router it ends with; the last ends with the head. */
function layersOf({ section: { layers }, routed }: RoutedCausalLm, section: number) {
  const from = section === 0 ? 0 : (routed.layers[section - 1] as number) + 1;
  const routing = routed.layers[section];
  const to = routing ?? layers;
  return { whole: Array.from({ length: to - from }, (_, n) => from + n), routing };
}

/** One expert of one layer: rows float32 [rows, hidden] -> answers float32 [rows, hidden]; there may be no rows. */
export function expertGraph(
  model: RoutedCausalLm,
  layer: number,
  expert: number,
  weights: Module,
  precision: WeightPrecision,
): GraphBuilder {
  const { hiddenSize } = model.section;
  const g = new GraphBuilder(`llm-expert-${layer}-${expert}`, precision);
  const rows = g.input('rows', 'float32', ['rows', hiddenSize]);
  g.output('answers', model.routed.expert(layer, expert, rows, weights), 'float32', ['rows', hiddenSize]);
  return g;
}
