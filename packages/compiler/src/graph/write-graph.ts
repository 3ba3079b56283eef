import { writeSync } from 'node:fs';
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { DType } from '@tessera/protocol';
import onnxProto from 'onnx-proto';
import type { Attribute, GraphBuilder, GraphNode, GraphPort, WeightGroup } from './graph-builder.js';
import { microsoft } from './graph-builder.js';

const { onnx } = onnxProto;

/** ONNX Runtime maps weights straight from the file when they begin on a page. */
const pageBytes = 4096;
/** Smaller tensors stay in the graph file: shape operands must be there for shape inference. */
const inlineBytes = 1024;
/** To hand so little to another thread takes longer than to write it: the pieces of a matrix that is turned are such. */
const smallBytes = 64 * 1024;

const dataType: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
};

function attributeProto([name, value]: [string, Attribute]): onnxProto.onnx.IAttributeProto {
  const { AttributeType } = onnx.AttributeProto;
  if (typeof value === 'string') return { name, type: AttributeType.STRING, s: Buffer.from(value) };
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: value };
  if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.INTS, ints: [...value] };
}

function nodeProto(node: GraphNode): onnxProto.onnx.INodeProto {
  return {
    opType: node.op,
    domain: node.domain,
    name: node.name,
    input: node.inputs.map((value) => value?.name ?? ''),
    output: node.outputs.map((value) => value.name),
    attribute: Object.entries(node.attributes).map(attributeProto),
  };
}

function portProto({ value, dtype, shape }: GraphPort): onnxProto.onnx.IValueInfoProto {
  const dim = shape.map((size) => (typeof size === 'string' ? { dimParam: size } : { dimValue: size }));
  return { name: value.name, type: { tensorType: { elemType: dataType[dtype], shape: { dim } } } };
}

/** Where in a weights' file a tensor lies. */
type Place = readonly onnxProto.onnx.IStringStringEntryProto[];

/** A tensor's own part of that file. */
interface Allotment {
  readonly place: Place;
  /** Writes bytes from the tensor's byte `at` on. */
  write(at: number, bytes: Uint8Array): Promise<void>;
}

/**
 * A file of weights: tensors on page boundaries, in the order they come. Graphs of one model and precision may share one,
 * in the folder where they lie: what one of them has written the others find.
 */
export class WeightFile implements AsyncDisposable {
  private position = 0;
  private readonly places = new Map<string, Place>();

  private constructor(
    private readonly handle: FileHandle,
    private readonly name: string,
    private readonly others: readonly WeightFile[],
  ) {}

  /** @param others files in the same folder, in which tensors are found too */
  static async create(path: string, others: readonly WeightFile[] = []): Promise<WeightFile> {
    return new WeightFile(await open(path, 'w'), basename(path), others);
  }

  /** Where the model's tensors of a group lie, if they are here or in another of the files. */
  find(group: WeightGroup): readonly Place[] | undefined {
    if (!group.ofModel) return undefined;
    const places = group.tensors.map(({ value }) => this.places.get(value.name));
    if (places.every((place) => place !== undefined)) return places;
    for (const other of this.others) {
      const found = other.find(group);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  remember(name: string, place: Place): void {
    this.places.set(name, place);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.handle.close();
  }

  /** Where a tensor of so many bytes is to lie: behind all others. */
  allot(bytes: number): Allotment {
    const offset = Math.ceil(this.position / pageBytes) * pageBytes;
    this.position = offset + bytes;
    const place = [
      { key: 'location', value: this.name },
      { key: 'offset', value: String(offset) },
      { key: 'length', value: String(bytes) },
    ];
    return { place, write: (at, part) => this.write(offset + at, part) };
  }

  private async write(position: number, bytes: Uint8Array): Promise<void> {
    if (bytes.length <= smallBytes) {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(this.handle.fd, bytes, done, bytes.length - done, position + done);
      }
      return;
    }
    for (let done = 0; done < bytes.length; ) {
      done += (await this.handle.write(bytes, done, Math.min(bytes.length - done, 1 << 28), position + done))
        .bytesWritten;
    }
  }
}

export interface WriteGraphOptions {
  readonly signal?: AbortSignal;
  /** Bytes of weights that were just written, or are there already. */
  readonly onWritten?: (bytes: number) => void;
  /** Where the weights go; without it to a file of the graph's own, `path`.data. */
  readonly weights?: WeightFile;
}

/** Bytes of weights that writing the graph will produce. */
export function weightBytes(graph: GraphBuilder): number {
  return graph.weights.reduce(
    (sum, group) => sum + group.tensors.reduce((bytes, tensor) => bytes + tensor.bytes, 0),
    0,
  );
}

/**
 * Writes `path` (the graph) and its weights, beside it. Tensors are written as they come, one group at a time, so memory is
 * bounded by what a group's `load` holds at once, not by the model.
 */
export async function writeGraph(graph: GraphBuilder, path: string, options: WriteGraphOptions = {}): Promise<void> {
  const file = options.weights ?? (await WeightFile.create(`${path}.data`));
  const initializer: onnxProto.onnx.ITensorProto[] = [];
  try {
    for (const group of graph.weights) {
      options.signal?.throwIfAborted();
      initializer.push(...(await writeGroup(group, file, options)));
    }
  } finally {
    if (options.weights === undefined) await file[Symbol.asyncDispose]();
  }
  const model = onnx.ModelProto.create({
    irVersion: 10,
    producerName: 'tessera',
    opsetImport: [
      { domain: '', version: 21 },
      { domain: microsoft, version: 1 },
    ],
    graph: {
      name: graph.name,
      node: graph.nodes.map(nodeProto),
      initializer,
      input: graph.inputs.map(portProto),
      output: graph.outputs.map(portProto),
    },
  });
  await writeFile(path, onnx.ModelProto.encode(model).finish());
}

async function writeGroup(
  group: WeightGroup,
  file: WeightFile,
  { signal, onWritten }: WriteGraphOptions,
): Promise<onnxProto.onnx.ITensorProto[]> {
  const found = file.find(group);
  const protos = group.tensors.map(({ value, dtype, shape }) => ({
    name: value.name,
    dims: [...shape],
    dataType: dataType[dtype],
  }));
  const outside = (place: Place) => ({ dataLocation: 1, externalData: [...place] });
  if (found !== undefined) {
    for (const { bytes } of group.tensors) onWritten?.(bytes);
    return protos.map((proto, i) => ({ ...proto, ...outside(found[i] as Place) }));
  }
  const targets = group.tensors.map((tensor) => new TensorTarget(tensor, file));
  await group.load(async (index, offset, view) => {
    signal?.throwIfAborted();
    await (targets[index] as TensorTarget).put(offset, view);
    onWritten?.(view.byteLength);
  }, signal);
  return protos.map((proto, i) => {
    const { name } = proto;
    const { place, inline } = (targets[i] as TensorTarget).filled();
    if (place === undefined) return { ...proto, rawData: inline };
    if (group.ofModel) file.remember(name, place);
    return { ...proto, ...outside(place) };
  });
}

/** Where the bytes of a tensor go: into the file of weights, or into the graph. */
class TensorTarget {
  private readonly inline: Uint8Array | undefined;
  private readonly allotted: Allotment | undefined;
  private come = 0;

  constructor(
    private readonly tensor: WeightGroup['tensors'][number],
    file: WeightFile,
  ) {
    if (tensor.bytes < inlineBytes) this.inline = new Uint8Array(tensor.bytes);
    else this.allotted = file.allot(tensor.bytes);
  }

  async put(offset: number, { buffer, byteOffset, byteLength }: ArrayBufferView): Promise<void> {
    if (offset + byteLength > this.tensor.bytes) throw this.misfit(offset + byteLength);
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    this.inline?.set(bytes, offset);
    await this.allotted?.write(offset, bytes);
    this.come += byteLength;
  }

  /** Where it lies, or what it holds, now that all of it has come. */
  filled(): { place: Place | undefined; inline: Uint8Array | undefined } {
    if (this.come !== this.tensor.bytes) throw this.misfit(this.come);
    return { place: this.allotted?.place, inline: this.inline };
  }

  private misfit(bytes: number): Error {
    const { value, dtype, shape } = this.tensor;
    return new Error(`${value.name}: ${bytes} bytes do not fill ${dtype} [${shape.join(', ')}]`);
  }
}
