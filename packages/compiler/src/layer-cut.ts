import type { LayerCut } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { DeclaredParameters, type ParameterSource } from './checkpoint/parameters.js';
import { divideLayers } from './divide-layers.js';
import type { GraphBuilder, WeightPrecision } from './graph/index.js';
import { modulePlaced, type Placed } from './models/model-plan.js';
import type { CausalLm } from './stages/causal-lm.js';
import { headGraph, measureLayers, pieceGraph } from './stages/layer-pieces.js';

const headFile = 'llm.head.onnx';
const pieceFile = (piece: number): string => `llm.layers-${piece}.onnx`;

/**
 * What the manifest says of a model that is cut between layers: as even as can be by bytes of weights, where the first
 * piece counts embedding and head too. A layer's experts stay with it.
 * @throws TesseraError REQUEST_INVALID for more pieces than layers
 */
export function layerCut(placed: Placed<CausalLm>, pieces: number, precision: WeightPrecision): LayerCut {
  const model = placed.pieces;
  const { layers } = model.section;
  if (pieces < 2 || pieces > layers) {
    const message = `the model has ${layers} layers, which are not cut into ${pieces} pieces; say 2 to ${layers}`;
    throw new TesseraError('REQUEST_INVALID', message, { field: 'cut' });
  }
  const bytes = measureLayers(model, modulePlaced(new DeclaredParameters(), placed), precision);
  let next = 0;
  const ranges = divideLayers(bytes.layers, bytes.ends, pieces).map((count, piece) => {
    const firstLayer = next;
    next += count;
    return { graph: pieceFile(piece), firstLayer, layers: count };
  });
  return { head: headFile, pieces: ranges };
}

/** A graph of that cut, and the file that its weights go to. */
interface LayerPiece {
  readonly file: string;
  readonly weightsFile: string;
  readonly graph: GraphBuilder;
}

/** The graphs of that cut. The weights of each piece lie in a file of its own, those of the head in the first one's. */
export function layerPieces(
  { head, pieces }: LayerCut,
  placed: Placed<CausalLm>,
  source: ParameterSource,
  precision: WeightPrecision,
): LayerPiece[] {
  const weights = modulePlaced(source, placed);
  const weightsFile = (piece: number): string => `${pieceFile(piece)}.data`;
  const graphs = pieces.map((range, piece) => ({
    file: range.graph,
    weightsFile: weightsFile(piece),
    graph: pieceGraph(placed.pieces, range, weights, precision),
  }));
  return [...graphs, { file: head, weightsFile: weightsFile(0), graph: headGraph(placed.pieces, weights, precision) }];
}
