import type { Module } from '../checkpoint/parameters.js';
import { reshape, type Value } from '../graph/index.js';
import { vector } from './parameter-value.js';

/** Over the last axis, then scaled and shifted by the module's `weight` and `bias`. */
export function layerNorm(x: Value, module: Module, width: number, epsilon: number): Value {
  const inputs = [x, vector(x.graph, module, 'weight', width), vector(x.graph, module, 'bias', width)];
  return x.graph.node('LayerNormalization', inputs, { axis: -1, epsilon: { float: epsilon } })[0] as Value;
}

/** Over the last axis, with no weights of its own. */
export function plainLayerNorm(x: Value, width: number, epsilon: number): Value {
  const ones = x.graph.constant('float32', [width], new Float32Array(width).fill(1));
  return x.graph.node('LayerNormalization', [x, ones], { axis: -1, epsilon: { float: epsilon } })[0] as Value;
}

/** x / rms(x) over the last axis, times the module's `weight`. */
export function rmsNorm(x: Value, module: Module, width: number, epsilon: number): Value {
  const attributes = { axis: -1, epsilon: { float: epsilon }, stash_type: 1 };
  const inputs = [x, vector(x.graph, module, 'weight', width)];
  return x.graph.node('SimplifiedLayerNormalization', inputs, attributes)[0] as Value;
}

/** rmsNorm of each head of x [batch, seq, heads * headDim], all by the same `weight` [headDim]. */
export function rmsNormPerHead(
  x: Value,
  module: Module,
  { heads, headDim, epsilon }: { readonly heads: number; readonly headDim: number; readonly epsilon: number },
): Value {
  const normed = rmsNorm(reshape(x, [0, 0, heads, headDim]), module, headDim, epsilon);
  return reshape(normed, [0, 0, heads * headDim]);
}
