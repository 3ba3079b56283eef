import type { Module } from '../checkpoint/parameters.js';
import type { GraphBuilder, Value } from '../graph/index.js';

/** A parameter used as it is, in float32 whatever the graph's precision: biases, norms, tables. */
export function parameterValue(g: GraphBuilder, module: Module, name: string, shape: readonly number[]): Value {
  const parameter = module.parameter(name, shape);
  return g.weight(parameter.name, { dtype: 'float32', shape }, (signal) => parameter.read(signal));
}

export function vector(g: GraphBuilder, module: Module, name: string, width: number): Value {
  return parameterValue(g, module, name, [width]);
}
