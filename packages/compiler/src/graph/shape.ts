import type { Value } from './graph-builder.js';

/** To a new shape: 0 keeps a dimension, -1 takes what is left. */
export function reshape(x: Value, shape: readonly number[]): Value {
  return x.graph.node('Reshape', [x, x.graph.int64(...shape)])[0] as Value;
}

/** To the shape that another value has. */
export function reshapeLike(x: Value, like: Value): Value {
  return x.graph.node('Reshape', [x, shapeOf(like)])[0] as Value;
}

export function transpose(x: Value, order: readonly number[]): Value {
  return x.graph.node('Transpose', [x], { perm: order })[0] as Value;
}

export function concat(values: readonly [Value, ...Value[]], axis: number): Value {
  return values[0].graph.node('Concat', values, { axis })[0] as Value;
}

/** Into `count` equal parts. */
export function split(x: Value, count: number, axis: number): Value[] {
  return x.graph.node('Split', [x], { axis, num_outputs: count }, { outputs: count });
}

/** Into `count` parts whose sizes, int64 [count], are known only when the graph runs. */
export function splitBy(x: Value, sizes: Value, count: number, axis: number): Value[] {
  return x.graph.node('Split', [x, sizes], { axis }, { outputs: count });
}

/** Rows of `table` by index: the shape of `indices` takes the place of the axis. */
export function gather(table: Value, indices: Value, axis = 0): Value {
  return table.graph.node('Gather', [table, indices], { axis })[0] as Value;
}

/** For each position of `indices`, the element of `x` at that index along the axis. */
export function gatherElements(x: Value, indices: Value, axis: number): Value {
  return x.graph.node('GatherElements', [x, indices], { axis })[0] as Value;
}

/** The slices of `x` that `indices` int64 [n, k] name by their first k axes: [n, ...]. */
export function gatherNd(x: Value, indices: Value): Value {
  return x.graph.node('GatherND', [x, indices])[0] as Value;
}

/** `x` with the slices that `indices` [n, k] name replaced by `updates` [n, ...]; n may be 0. */
export function scatterNd(x: Value, indices: Value, updates: Value): Value {
  return x.graph.node('ScatterND', [x, indices, updates])[0] as Value;
}

/** The k largest (or smallest) along the last axis and where they were, in order; of equal ones the first index wins. */
export function topK(x: Value, k: Value, options: { largest: boolean }): { values: Value; indices: Value } {
  const attributes = { axis: -1, largest: options.largest ? 1 : 0, sorted: 1 };
  const [values, indices] = x.graph.node('TopK', [x, k], attributes, { outputs: 2 });
  return { values: values as Value, indices: indices as Value };
}

/** The sizes of x as int64 [rank]. */
export function shapeOf(x: Value): Value {
  return x.graph.node('Shape', [x])[0] as Value;
}

/** A size-1 dimension more, at `axis`. */
export function unsqueeze(x: Value, axis: number): Value {
  return x.graph.node('Unsqueeze', [x, x.graph.int64(axis)])[0] as Value;
}
