import { Module, type Parameter } from '../checkpoint/parameters.js';
import { GraphBuilder, microsoft, type Value, type WeightPrecision } from '../graph/index.js';
import { writeGraph } from '../graph/write-graph.js';
import { gatedMlp, mixtureOfExperts } from '../layers/index.js';
import { quantizeBlocks } from '../layers/quantize.js';
import { InventedParameters } from './run-graph.js';

/** One layer of routed experts, with invented weights. */
export interface ExpertLayer {
  readonly experts: number;
  readonly chosen: number;
  readonly width: number;
  readonly inner: number;
}

const source = new InventedParameters(0.1);
const expertModules = (index: number) => {
  const module = new Module(source).at(`experts.${index}`);
  return { gate: module.at('gate_proj'), up: module.at('up_proj'), down: module.at('down_proj') };
};

function begin(precision: WeightPrecision, { experts, width }: ExpertLayer): { x: Value; scores: Value } {
  const g = new GraphBuilder('experts', precision);
  return {
    x: g.input('x', 'float32', ['rows', width]),
    scores: g.input('scores', 'float32', ['rows', experts]),
  };
}

/** Writes the layer as models are compiled: `x` [rows, width] and `scores` [rows, experts] to `y` [rows, width]. */
export async function writeExpertNodes(path: string, precision: WeightPrecision, layer: ExpertLayer): Promise<void> {
  const { x, scores } = begin(precision, layer);
  const { width, inner } = layer;
  const expert = (index: number, rows: Value): Value =>
    gatedMlp(rows, expertModules(index), { width, inner, activation: 'silu' });
  const y = mixtureOfExperts(x, scores, expert, { ...layer, normalize: true });
  x.graph.output('y', y, 'float32', ['rows', width]);
  await writeGraph(x.graph, path);
}

/** Writes the same layer as ONNX Runtime's one operator for it: MoE in float32, QMoE in int8 and int4. */
export async function writeFusedExperts(path: string, precision: WeightPrecision, layer: ExpertLayer): Promise<void> {
  const { x, scores } = begin(precision, layer);
  const { experts, chosen, width, inner } = layer;
  const attributes = {
    k: chosen,
    activation_type: 'swiglu',
    swiglu_fusion: 1,
    activation_alpha: { float: 1 },
    activation_beta: { float: 0 },
    normalize_routing_weights: 1,
  };
  const inward = (index: number) => {
    const { gate, up } = expertModules(index);
    return interleaved(gate.parameter('weight', [inner, width]), up.parameter('weight', [inner, width]), width);
  };
  const outward = (index: number) => expertModules(index).down.parameter('weight', [width, inner]).read();
  const weights = (name: string, rows: number, columns: number, read: (index: number) => Promise<Float32Array>) =>
    precision === 'float32'
      ? [stacked(x.graph, name, [experts, rows, columns], read)]
      : stackedBlocks(x.graph, name, { experts, rows, columns, bits: precision === 'int8' ? 8 : 4 }, read);
  const first = weights('fc1', 2 * inner, width, inward);
  const second = weights('fc2', width, inner, outward);
  const [op, inputs, more] =
    precision === 'float32'
      ? ['MoE', [x, scores, first[0], undefined, second[0]], {}]
      : [
          'QMoE',
          [x, scores, first[0], first[1], undefined, second[0], second[1]],
          { expert_weight_bits: precision === 'int8' ? 8 : 4, block_size: 32 },
        ];
  const [y] = x.graph.node(
    op as string,
    inputs as Value[],
    { ...attributes, ...(more as object) },
    { domain: microsoft },
  );
  x.graph.output('y', y as Value, 'float32', ['rows', width]);
  await writeGraph(x.graph, path);
}

/** Rows of two weights [rows, width] in turn. */
async function interleaved(one: Parameter, other: Parameter, width: number): Promise<Float32Array> {
  const [first, second] = [await one.read(), await other.read()];
  const both = new Float32Array(first.length * 2);
  for (let row = 0; row < first.length / width; row++) {
    both.set(first.subarray(row * width, (row + 1) * width), 2 * row * width);
    both.set(second.subarray(row * width, (row + 1) * width), (2 * row + 1) * width);
  }
  return both;
}

function stacked(
  g: GraphBuilder,
  name: string,
  shape: readonly [number, number, number],
  read: (index: number) => Promise<Float32Array>,
): Value {
  return g.weight(name, { dtype: 'float32', shape }, async () => {
    const all = new Float32Array(shape[0] * shape[1] * shape[2]);
    for (let index = 0; index < shape[0]; index++) all.set(await read(index), index * shape[1] * shape[2]);
    return all;
  });
}

function stackedBlocks(
  g: GraphBuilder,
  name: string,
  { experts, rows, columns, bits }: { experts: number; rows: number; columns: number; bits: 4 | 8 },
  read: (index: number) => Promise<Float32Array>,
): Value[] {
  const packed = (columns * bits) / 8;
  return g.weightGroup(
    [name, `${name}:scales`],
    [
      { dtype: 'uint8', shape: [experts, rows, packed] },
      { dtype: 'float32', shape: [experts, rows, columns / 32] },
    ],
    async () => {
      const values = new Uint8Array(experts * rows * packed);
      const scales = new Float32Array((experts * rows * columns) / 32);
      for (let index = 0; index < experts; index++) {
        const one = quantizeBlocks(await read(index), rows, columns, { bits, blockSize: 32, zeroPoints: 'none' });
        values.set(one.values, index * rows * packed);
        scales.set(one.scales, (index * rows * columns) / 32);
      }
      return [values, scales];
    },
  );
}
