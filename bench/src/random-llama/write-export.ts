import { link, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Bundle } from '@tessera/bundle';
import { seededRandom } from '@tessera/testing/numbers/seeded-random';
import onnxProto from 'onnx-proto';
import { smolLm2 } from './shape.js';

const { onnx } = onnxProto;
type NodeProto = onnxProto.onnx.INodeProto;
type TensorProto = onnxProto.onnx.ITensorProto;

const dataTypes = { float32: 1, uint8: 2, int32: 6, int64: 7 } as const;
const int64Max = 2n ** 63n - 1n;
const blockSize = 32;

/** The `dtype` of transformers.js for a bundle's weights, and how it calls the file. */
const files = { float32: ['fp32', 'model.onnx'], int4: ['q4', 'model_q4.onnx'] } as const;
export type ExportedWeights = keyof typeof files;

/**
 * Writes a bundle's LLM as transformers.js takes it from a folder: config.json, and onnx/ with the graph as its conversion script and
 * ONNX Runtime's model builder export it. That is grouped-query attention in one operator over caches that go in and come
 * out, a mask from which the lengths follow, and `num_logits_to_keep`; int4 in blocks of 32, the tied head in 4 bits too and
 * activations not rounded (no accuracy_level), the script's defaults. Layers, weights and ONNX Runtime's operators are otherwise the bundle's.
 * @param dir made where it is not there
 * @returns what transformers.js calls these weights
 */
export async function writeExport(bundle: Bundle, weights: ExportedWeights, dir: string): Promise<string> {
  const [dtype, file] = files[weights];
  const source = bundle.file(bundle.manifest.llm.graph);
  const out = join(dir, 'onnx');
  await mkdir(out, { recursive: true });
  await writeFile(join(dir, 'config.json'), JSON.stringify(smolLm2));
  // ONNX Runtime takes weights from the graph's own folder only.
  const data = `${basename(source)}.data`;
  await link(join(dirname(source), data), join(out, data));
  const model = onnx.ModelProto.decode(await readFile(source));
  exportGraph(model.graph as onnxProto.onnx.GraphProto, weights);
  await writeFile(join(out, file), onnx.ModelProto.encode(model).finish());
  return dtype;
}

function exportGraph(graph: onnxProto.onnx.GraphProto, weights: ExportedWeights): void {
  const renamed = (name: string): string =>
    name
      .replace(/^past_(key|value)\.(\d+)$/, 'past_key_values.$2.$1')
      .replace(/^present_(key|value)\.(\d+)$/, 'present.$2.$1')
      // Visual tokens are not in it.
      .replace(/^ScatterND$/, 'Gather');
  const [head] = graph.node.slice(-1) as [NodeProto];
  const layers = graph.node.filter((node) => !['ScatterND', 'GatherND'].includes(node.opType ?? '') && node !== head);
  for (const node of layers) {
    node.input = (node.input ?? []).map(renamed);
    node.output = (node.output ?? []).map(renamed);
    if (node.opType === 'MatMulNBits') withoutAccuracyLevel(node);
  }
  graph.node = [...lengths(), ...layers, ...wantedRows(), exportedHead(head, weights), ...shapedLogits()];
  graph.initializer.push(
    ...constants(),
    ...(weights === 'int4' ? nibbles(smolLm2.vocab_size, smolLm2.hidden_size) : []),
  );
  const cache = ({ name }: onnxProto.onnx.IValueInfoProto, kind: RegExp): boolean => kind.test(name ?? '');
  const port = (name: string, type: keyof typeof dataTypes, shape: readonly (string | number)[]) => ({
    name,
    type: {
      tensorType: {
        elemType: dataTypes[type],
        shape: { dim: shape.map((size) => (typeof size === 'string' ? { dimParam: size } : { dimValue: size })) },
      },
    },
  });
  const { vocab_size: vocabulary } = smolLm2;
  graph.input = [
    port('input_ids', 'int64', ['batch_size', 'sequence_length']),
    port('attention_mask', 'int64', ['batch_size', 'total_sequence_length']),
    port('position_ids', 'int64', ['batch_size', 'sequence_length']),
    port('num_logits_to_keep', 'int64', []),
    ...graph.input.filter((each) => cache(each, /^past_(key|value)\./)),
  ];
  graph.output = [
    port('logits', 'float32', ['batch_size', 'kept', vocabulary]),
    ...graph.output.filter((each) => cache(each, /^present_(key|value)\./)),
  ];
  for (const each of [...graph.input, ...graph.output]) {
    each.name = renamed(each.name ?? '');
    // transformers.js makes an empty cache by the names of the sizes.
    for (const size of each.type?.tensorType?.shape?.dim ?? [])
      if (size.dimParam === 'batch') size.dimParam = 'batch_size';
  }
}

function withoutAccuracyLevel(node: NodeProto): void {
  node.attribute = (node.attribute ?? []).filter(({ name }) => name !== 'accuracy_level');
}

const node = (
  opType: string,
  input: string[],
  output: string,
  attributes: Readonly<Record<string, number>> = {},
): NodeProto => ({
  opType,
  name: output,
  input,
  output: [output],
  attribute: Object.entries(attributes).map(([name, i]) => ({ name, i, type: onnx.AttributeProto.AttributeType.INT })),
});

/** What grouped-query attention is told of the sequences, from the mask. */
function lengths(): NodeProto[] {
  return [
    node('ReduceSum', ['attention_mask', 'one'], 'attended', { keepdims: 0 }),
    node('Sub', ['attended', 'one'], 'last_position'),
    node('Cast', ['last_position'], 'seqlens_k', { to: dataTypes.int32 }),
    node('Shape', ['attention_mask'], 'mask_columns', { start: 1, end: 2 }),
    node('Cast', ['mask_columns'], 'total_sequence_length', { to: dataTypes.int32 }),
  ];
}

/** The hidden states of the last `num_logits_to_keep` tokens of each sequence, of all for 0, as rows. */
function wantedRows(): NodeProto[] {
  return [
    node('Neg', ['num_logits_to_keep'], 'from_end'),
    node('Reshape', ['from_end', 'one'], 'first_kept'),
    node('Slice', ['hidden', 'first_kept', 'end', 'one'], 'kept'),
    node('Reshape', ['kept', 'rows_shape'], 'kept_rows'),
  ];
}

function exportedHead(head: NodeProto, weights: ExportedWeights): NodeProto {
  const weight = weights === 'int4' ? ['head', 'head_scales'] : (head.input ?? []).slice(1);
  const exported = { ...head, input: ['kept_rows', ...weight], output: ['logit_rows'] };
  if (weights === 'int4') {
    withoutAccuracyLevel(exported);
    exported.attribute = (exported.attribute ?? []).map((each) => (each.name === 'bits' ? { ...each, i: 4 } : each));
  }
  return exported;
}

function shapedLogits(): NodeProto[] {
  return [
    node('Shape', ['kept'], 'kept_shape', { start: 0, end: 2 }),
    node('Concat', ['kept_shape', 'vocabulary'], 'logits_shape', { axis: 0 }),
    node('Reshape', ['logit_rows', 'logits_shape'], 'logits'),
  ];
}

function constants(): TensorProto[] {
  const int64 = (name: string, ...values: readonly bigint[]): TensorProto => ({
    name,
    dims: [values.length],
    dataType: dataTypes.int64,
    rawData: Buffer.from(BigInt64Array.from(values).buffer),
  });
  return [
    int64('one', 1n),
    int64('end', int64Max),
    int64('rows_shape', -1n, BigInt(smolLm2.hidden_size)),
    int64('vocabulary', BigInt(smolLm2.vocab_size)),
  ];
}

/** A linear layer of random weights of 4 bits, in blocks. */
function nibbles(to: number, from: number): TensorProto[] {
  const random = seededRandom(4);
  const blocks = from / blockSize;
  const words = Uint32Array.from({ length: (to * from) / 8 }, () => random() * 2 ** 32);
  const scales = new Float32Array(to * blocks).fill(0.01);
  return [
    {
      name: 'head',
      dims: [to, blocks, blockSize / 2],
      dataType: dataTypes.uint8,
      rawData: Buffer.from(words.buffer),
    },
    { name: 'head_scales', dims: [to, blocks], dataType: dataTypes.float32, rawData: Buffer.from(scales.buffer) },
  ];
}
