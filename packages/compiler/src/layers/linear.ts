import type { Module, Parameter } from '../checkpoint/parameters.js';
import { add, eightBitsAtLeast, gather, matmul, type Value, type WeightPrecision } from '../graph/index.js';
import { blocksOf, projectByBlocks } from './block-weights.js';
import { asFloat32, floatTypeOf, plainWeight, transposedWeight } from './float-weights.js';
import { vector } from './parameter-value.js';

/** Sizes of a linear layer and whether it has a bias. */
export interface LinearOptions {
  readonly from: number;
  readonly to: number;
  readonly bias: boolean;
  /** The graph's, unless a layer is too small or too touchy to be rounded. */
  readonly precision?: WeightPrecision;
}

/** x [..., from] times the transpose of a published weight [to, from]. */
function project(x: Value, weight: Parameter, precision: WeightPrecision): Value {
  const blocks = blocksOf(precision);
  if (blocks !== undefined) return projectByBlocks(x, weight, precision, blocks);
  const type = floatTypeOf(precision);
  return matmul(x, asFloat32(transposedWeight(x.graph, weight, type), type));
}

/** x [..., from] -> [..., to] by the module's `weight` [to, from] and `bias` [to]. */
export function linear(x: Value, module: Module, options: LinearOptions): Value {
  const { from, to, bias, precision = x.graph.precision } = options;
  const product = project(x, module.parameter('weight', [to, from]), precision);
  return bias ? add(product, vector(x.graph, module, 'bias', to)) : product;
}

/** ids int64 [...] -> rows of the module's `weight` [count, width]: float32 [..., width]. */
export function embedding(ids: Value, module: Module, count: number, width: number): Value {
  const type = floatTypeOf(ids.graph.precision);
  const table = plainWeight(ids.graph, module.parameter('weight', [count, width]), type);
  return asFloat32(gather(table, ids), type);
}

/** The head decides between neighbours and is one layer among many: it never has less than 8 bits. */
const headPrecision = eightBitsAtLeast;

/** Scores of x [rows, width] by the module's `weight` [count, width]: the head of a model that has one of its own. */
export function head(x: Value, module: Module, count: number, width: number): Value {
  const precision = headPrecision(x.graph.precision);
  return linear(x, module, { from: width, to: count, bias: false, precision });
}

/** Scores of x [rows, width] against an embedding table [count, width]: the head of a model with tied embeddings. */
export function tiedHead(x: Value, module: Module, count: number, width: number): Value {
  const weight = module.parameter('weight', [count, width]);
  const precision = headPrecision(x.graph.precision);
  if (blocksOf(precision) !== undefined) return project(x, weight, precision);
  // Gemm multiplies by the transpose in place, so the table is stored once.
  const type = floatTypeOf(precision);
  const table = asFloat32(plainWeight(x.graph, weight, type), type);
  return x.graph.node('Gemm', [x, table], { transB: 1 })[0] as Value;
}
