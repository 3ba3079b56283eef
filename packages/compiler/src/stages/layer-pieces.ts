import type { Module } from '../checkpoint/parameters.js';
import { GraphBuilder, type WeightPrecision } from '../graph/index.js';
import { weightBytes } from '../graph/write-graph.js';
import {
  attentionInputs,
  type CausalLm,
  cachedLayer,
  embeddedInputs,
  head,
  hiddenInput,
  logitPositions,
} from './causal-lm.js';

/** Layers that follow each other. */
export interface LayerRange {
  readonly firstLayer: number;
  /** How many. */
  readonly layers: number;
}

/**
 * One piece of a model that is cut between layers.
 *
 * Inputs as llm.onnx has them (causalLmGraph): of the piece with the first layer input_ids, media_embeddings and
 * media_positions, of the others input_hidden float32 [batch, seq, hidden] in their place; of all position_ids, seqlens_k,
 * total_sequence_length, and past_key.L and past_value.L of their layers.
 *
 * Outputs: output_hidden float32 [batch, seq, hidden], the next piece's input_hidden; new_key.L, new_value.L,
 * present_key.L and present_value.L of its layers.
 */
export function pieceGraph(
  model: CausalLm,
  { firstLayer, layers }: LayerRange,
  weights: Module,
  precision: WeightPrecision,
): GraphBuilder {
  const g = new GraphBuilder(`llm-layers-${firstLayer}`, precision);
  let hidden = firstLayer === 0 ? embeddedInputs(g, model, weights) : hiddenInput(g, model);
  const attention = attentionInputs(g, model);
  for (let layer = firstLayer; layer < firstLayer + layers; layer++) {
    hidden = cachedLayer(g, model, layer, (past) => model.layer(layer, hidden, past, attention, weights)).hidden;
  }
  g.output('output_hidden', hidden, 'float32', ['batch', 'seq', model.section.hiddenSize]);
  return g;
}

/** Bytes of weights: of each layer, and of embedding and head together. The tables of positions are in every piece, and not counted. */
export function measureLayers(
  model: CausalLm,
  weights: Module,
  precision: WeightPrecision,
): { readonly ends: number; readonly layers: readonly number[] } {
  const g = new GraphBuilder('measured', precision);
  let counted = 0;
  const added = (): number => {
    const before = counted;
    counted = weightBytes(g);
    return counted - before;
  };
  const attention = attentionInputs(g, model);
  added();
  let hidden = embeddedInputs(g, model, weights);
  head(g, model, hidden, logitPositions(g), weights);
  const ends = added();
  const layers = Array.from({ length: model.section.layers }, (_, layer) => {
    hidden = cachedLayer(g, model, layer, (past) => model.layer(layer, hidden, past, attention, weights)).hidden;
    return added();
  });
  return { ends, layers };
}

/** What follows the last piece: input_hidden float32 [batch, seq, hidden] and logit_positions -> logits and hidden, as llm.onnx has them. */
export function headGraph(model: CausalLm, weights: Module, precision: WeightPrecision): GraphBuilder {
  const g = new GraphBuilder('llm-head', precision);
  head(g, model, hiddenInput(g, model), logitPositions(g), weights);
  return g;
}
