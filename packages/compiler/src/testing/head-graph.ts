import { Module } from '../checkpoint/parameters.js';
import { GraphBuilder, type WeightPrecision } from '../graph/index.js';
import { writeGraph } from '../graph/write-graph.js';
import { linear } from '../layers/index.js';
import { InventedParameters } from './run-graph.js';

/**
 * Writes the last layer of a language model alone, with invented weights: `hidden` [rows, width] to `logits`
 * [rows, vocabulary]. The least that a step over so many words takes.
 */
export async function writeHeadGraph(
  path: string,
  { width, vocabulary, precision }: { width: number; vocabulary: number; precision: WeightPrecision },
): Promise<void> {
  const graph = new GraphBuilder('head', precision);
  const hidden = graph.input('hidden', 'float32', ['rows', width]);
  const head = new Module(new InventedParameters(0.1)).at('head');
  const logits = linear(hidden, head, { from: width, to: vocabulary, bias: false });
  graph.output('logits', logits, 'float32', ['rows', vocabulary]);
  await writeGraph(graph, path);
}
