import type { ExpertCut } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { DeclaredParameters, type ParameterSource } from './checkpoint/parameters.js';
import type { GraphBuilder, WeightPrecision } from './graph/index.js';
import { weightBytes } from './graph/write-graph.js';
import { modulePlaced, type Placed } from './models/model-plan.js';
import type { CausalLm } from './stages/causal-lm.js';
import { expertGraph, type RoutedCausalLm, sectionGraph } from './stages/cut-causal-lm.js';

const sectionFile = (section: number): string => `llm.section-${section}.onnx`;
const expertFile = (layer: number, expert: number): string => `llm.expert-${layer}-${expert}.onnx`;

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** @throws TesseraError UNSUPPORTED where no layer has experts */
function requireRouted(pieces: CausalLm): RoutedCausalLm {
  if (pieces.routed !== undefined && pieces.routed.layers.length > 0) return pieces as RoutedCausalLm;
  throw new TesseraError('UNSUPPORTED', 'the model has no layers of routed experts, so they cannot be cut out');
}

/**
 * What the manifest says of a model whose experts are cut out.
 * @throws TesseraError UNSUPPORTED where there are none
 */
export function expertCut(placed: Placed<CausalLm>, precision: WeightPrecision): ExpertCut {
  const model = requireRouted(placed.pieces);
  const { experts, chosen, layers } = model.routed;
  const weights = modulePlaced(new DeclaredParameters(), placed);
  return {
    perLayer: experts,
    chosen,
    expertBytes: weightBytes(expertGraph(model, layers[0] as number, 0, weights, precision)),
    sections: upTo(layers.length + 1).map(sectionFile),
    layers: layers.map((layer) => ({ layer, experts: upTo(experts).map((expert) => expertFile(layer, expert)) })),
  };
}

/** The graphs of that cut, each with the name of its file. */
export function expertPieces(
  placed: Placed<CausalLm>,
  source: ParameterSource,
  precision: WeightPrecision,
): { readonly file: string; readonly graph: GraphBuilder }[] {
  const model = requireRouted(placed.pieces);
  const weights = modulePlaced(source, placed);
  const { experts, layers } = model.routed;
  const sections = upTo(layers.length + 1).map((section) => ({
    file: sectionFile(section),
    graph: sectionGraph(model, section, weights, precision),
  }));
  const each = layers.flatMap((layer) =>
    upTo(experts).map((expert) => ({
      file: expertFile(layer, expert),
      graph: expertGraph(model, layer, expert, weights, precision),
    })),
  );
  return [...sections, ...each];
}
