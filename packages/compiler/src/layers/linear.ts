import type { Module, Parameter } from '../checkpoint/parameters.js';
import { add, type GraphBuilder, gather, matmul, microsoft, type Value, type WeightPrecision } from '../graph/index.js';
import { vector } from './parameter-value.js';
import { type BlockBits, blockSize, quantizeBlocks } from './quantize.js';

/** Sizes of a linear layer and whether it has a bias. */
export interface LinearOptions {
  readonly from: number;
  readonly to: number;
  readonly bias: boolean;
  /** The graph's, unless a layer is too small or too touchy to be rounded. */
  readonly precision?: WeightPrecision;
}

/** Of a weight that is rounded. */
const bitsOf: Readonly<Record<Exclude<WeightPrecision, 'float32'>, BlockBits>> = { int8: 8, int4: 4 };

type ProjectOptions = Omit<LinearOptions, 'bias'>;

/** [rows, columns] to [columns, rows]. */
function transposed(source: Float32Array, rows: number, columns: number): Float32Array {
  const target = new Float32Array(source.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) target[c * rows + r] = source[r * columns + c] as number;
  }
  return target;
}

/** x [..., from] times the transpose of a published weight [to, from]. */
function project(x: Value, weight: Parameter, { from, to, precision = x.graph.precision }: ProjectOptions): Value {
  const g = x.graph;
  if (precision === 'float32') {
    const spec = { dtype: 'float32', shape: [from, to] } as const;
    const table = g.weight(`${weight.name}:transposed`, spec, async (signal) =>
      transposed(await weight.read(signal), to, from),
    );
    return matmul(x, table);
  }
  const bits = bitsOf[precision];
  const blocks = Math.ceil(from / blockSize);
  const quantized = g.weightGroup(
    [`${weight.name}:${precision}`, `${weight.name}:${precision}:scales`],
    [
      { dtype: 'uint8', shape: [to, blocks, (blockSize * bits) / 8] },
      { dtype: 'float32', shape: [to, blocks] },
    ],
    async (signal) => {
      const { values, scales } = quantizeBlocks(await weight.read(signal), to, from, bits);
      return [values, scales];
    },
  );
  // accuracy_level 4: activations are rounded to int8 too, by row and block, so a row's result is its own.
  const attributes = { K: from, N: to, bits, block_size: blockSize, accuracy_level: 4 };
  return g.node('MatMulNBits', [x, ...quantized], attributes, { domain: microsoft })[0] as Value;
}

/** x [..., from] -> [..., to] by the module's `weight` [to, from] and `bias` [to]. */
export function linear(x: Value, module: Module, { bias, ...options }: LinearOptions): Value {
  const { from, to } = options;
  const product = project(x, module.parameter('weight', [to, from]), options);
  return bias ? add(product, vector(x.graph, module, 'bias', to)) : product;
}

function embeddingTable(g: GraphBuilder, weight: Parameter): Value {
  return g.weight(weight.name, { dtype: 'float32', shape: weight.shape }, (signal) => weight.read(signal));
}

/** ids int64 [...] -> rows of the module's `weight` [count, width]: float32 [..., width]. */
export function embedding(ids: Value, module: Module, count: number, width: number): Value {
  return gather(embeddingTable(ids.graph, module.parameter('weight', [count, width])), ids);
}

/** The head decides between neighbours and is one layer among many: it never has less than 8 bits. */
const headPrecision = { float32: 'float32', int8: 'int8', int4: 'int8' } as const;

/** Scores of x [rows, width] by the module's `weight` [count, width]: the head of a model that has one of its own. */
export function head(x: Value, module: Module, count: number, width: number): Value {
  const precision = headPrecision[x.graph.precision];
  return linear(x, module, { from: width, to: count, bias: false, precision });
}

/** Scores of x [rows, width] against an embedding table [count, width]: the head of a model with tied embeddings. */
export function tiedHead(x: Value, module: Module, count: number, width: number): Value {
  const weight = module.parameter('weight', [count, width]);
  const precision = headPrecision[x.graph.precision];
  if (precision !== 'float32') return project(x, weight, { from: width, to: count, precision });
  // Gemm multiplies by the transpose in place, so the table is stored once.
  return x.graph.node('Gemm', [x, embeddingTable(x.graph, weight)], { transB: 1 })[0] as Value;
}
