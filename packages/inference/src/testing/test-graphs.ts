import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DType } from '@tessera/protocol';
import onnxProto from 'onnx-proto';
import { elementTypes } from '../native/element-types.js';

const { onnx } = onnxProto;

/** A size, or the name of one that is known only when the graph runs. */
type Port = readonly [name: string, dtype: DType, shape: readonly (number | string)[]];

interface TestNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, number>>;
}

interface TestGraph {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly nodes: readonly TestNode[];
}

/** Writes a graph without weights into a folder. @returns its path */
export function writeTestGraph(folder: string, name: string, { inputs, outputs, nodes }: TestGraph): string {
  const port = ([portName, dtype, shape]: Port): onnxProto.onnx.IValueInfoProto => {
    const dim = shape.map((size) => (typeof size === 'string' ? { dimParam: size } : { dimValue: size }));
    return { name: portName, type: { tensorType: { elemType: elementTypes[dtype], shape: { dim } } } };
  };
  const node = ({ op, domain = '', attributes = {}, ...rest }: TestNode): onnxProto.onnx.INodeProto => ({
    opType: op,
    domain,
    input: [...rest.inputs],
    output: [...rest.outputs],
    attribute: Object.entries(attributes).map(([attribute, i]) => ({
      name: attribute,
      type: onnx.AttributeProto.AttributeType.INT,
      i,
    })),
  });
  const model = onnx.ModelProto.create({
    irVersion: 10,
    opsetImport: [
      { domain: '', version: 21 },
      { domain: 'com.microsoft', version: 1 },
    ],
    graph: { name, input: inputs.map(port), output: outputs.map(port), node: nodes.map(node) },
  });
  const path = join(folder, `${name}.onnx`);
  writeFileSync(path, onnx.ModelProto.encode(model).finish());
  return path;
}

/** sum = x + y, product = x * y: float32 [batch, 3] each. */
export const arithmetic: TestGraph = {
  inputs: [
    ['x', 'float32', ['batch', 3]],
    ['y', 'float32', ['batch', 3]],
  ],
  outputs: [
    ['sum', 'float32', ['batch', 3]],
    ['product', 'float32', ['batch', 3]],
  ],
  nodes: [
    { op: 'Add', inputs: ['x', 'y'], outputs: ['sum'] },
    { op: 'Mul', inputs: ['x', 'y'], outputs: ['product'] },
  ],
};

/** picked = table[index]: fails on an index that is none. */
export const lookup: TestGraph = {
  inputs: [
    ['table', 'float32', ['rows', 2]],
    ['index', 'int64', ['count']],
  ],
  outputs: [['picked', 'float32', ['count', 2]]],
  nodes: [{ op: 'Gather', inputs: ['table', 'index'], outputs: ['picked'] }],
};

const dtypes: readonly DType[] = ['float32', 'float16', 'int64', 'int32', 'uint8', 'int8', 'bool'];

/** For each type an output out_TYPE that is its input in_TYPE: [n] each. */
export const everyType: TestGraph = {
  inputs: dtypes.map((dtype) => [`in_${dtype}`, dtype, ['n']]),
  outputs: dtypes.map((dtype) => [`out_${dtype}`, dtype, ['n']]),
  nodes: dtypes.map((dtype) => ({ op: 'Identity', inputs: [`in_${dtype}`], outputs: [`out_${dtype}`] })),
};

/** So many multiplications of float32 [width, width] that a run takes a while. */
export function slow(width: number, steps: number): TestGraph {
  const shape = [width, width];
  return {
    inputs: [['x', 'float32', shape]],
    outputs: [['y', 'float32', shape]],
    nodes: Array.from({ length: steps }, (_, step) => ({
      op: 'MatMul',
      inputs: [step === 0 ? 'x' : `step${step}`, 'x'],
      outputs: [step === steps - 1 ? 'y' : `step${step + 1}`],
    })),
  };
}

export interface AttentionSizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** GroupQueryAttention without rotation, as the LLM's graph has it: past and present may be one buffer. */
export function attention({ heads, kvHeads, headDim }: AttentionSizes): TestGraph {
  const past = ['batch', kvHeads, 'capacity', headDim];
  const present = ['batch', kvHeads, 'present_rows', headDim];
  return {
    inputs: [
      ['q', 'float32', ['batch', 'seq', heads * headDim]],
      ['k', 'float32', ['batch', 'seq', kvHeads * headDim]],
      ['v', 'float32', ['batch', 'seq', kvHeads * headDim]],
      ['past_key', 'float32', past],
      ['past_value', 'float32', past],
      ['seqlens_k', 'int32', ['batch']],
      ['total_sequence_length', 'int32', [1]],
    ],
    outputs: [
      ['attended', 'float32', ['batch', 'seq', heads * headDim]],
      ['present_key', 'float32', present],
      ['present_value', 'float32', present],
    ],
    nodes: [
      {
        op: 'GroupQueryAttention',
        domain: 'com.microsoft',
        inputs: ['q', 'k', 'v', 'past_key', 'past_value', 'seqlens_k', 'total_sequence_length'],
        outputs: ['attended', 'present_key', 'present_value'],
        attributes: { num_heads: heads, kv_num_heads: kvHeads },
      },
    ],
  };
}
