import { bytesPerElement, type DType, elementCount } from '@tessera/protocol';
import type { WeightPrecision } from './precision.js';

/** A handle on something that flows through a graph. */
export class Value {
  private label: string;

  constructor(
    readonly graph: GraphBuilder,
    name: string,
    readonly kind: 'input' | 'weight' | 'computed',
  ) {
    this.label = name;
  }

  get name(): string {
    return this.label;
  }

  /** Nodes refer to values, not to names, so a value can still be renamed when it turns out to be an output. */
  publishAs(name: string): void {
    this.label = name;
  }
}

/** An operand: a value, or a number that becomes a float32 constant. */
export type Operand = Value | number;

/** A number, or the name of a size known only when the graph runs. */
export type Dimension = number | string;
export type Attribute = number | string | readonly number[] | { readonly float: number };

export interface GraphNode {
  readonly op: string;
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

export interface TensorSpec {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

export interface GraphPort extends Omit<TensorSpec, 'shape'> {
  readonly value: Value;
  readonly shape: readonly Dimension[];
}

/** Takes bytes of a group's tensors as they come: those of tensor `index` from byte `offset` of it on, each byte once. */
type PutWeights = (index: number, offset: number, bytes: ArrayBufferView) => Promise<void>;

/** Tensors that are made together from the same source. */
export interface WeightGroup {
  /** Whether they are the model's: their names then say what they hold, in every graph of one model and precision. */
  readonly ofModel: boolean;
  readonly tensors: readonly (TensorSpec & { readonly value: Value; readonly bytes: number })[];
  /** Puts every byte of `tensors` somewhere. What was put may be changed once `put` has come back. */
  load(put: PutWeights, signal?: AbortSignal): Promise<void>;
}

const wholeWeights =
  (load: (signal?: AbortSignal) => Promise<readonly ArrayBufferView[]>): WeightGroup['load'] =>
  async (put, signal) => {
    for (const [index, bytes] of (await load(signal)).entries()) await put(index, 0, bytes);
  };

/** Operators beyond ONNX's own that ONNX Runtime brings. */
export const microsoft = 'com.microsoft';

/**
 * A graph under construction: inputs, nodes, weights, outputs. Weights are promises until the graph is written, so
 * building costs no memory for them. The functions beside this file (`add`, `linear`, `layerNorm`...) add the nodes.
 */
export class GraphBuilder {
  readonly inputs: GraphPort[] = [];
  readonly outputs: GraphPort[] = [];
  readonly nodes: GraphNode[] = [];
  readonly weights: WeightGroup[] = [];
  private readonly scopes: string[] = [];
  private readonly shared = new Map<string, Value[]>();
  private readonly taken = new Set<string>();
  private readonly counters = new Map<string, number>();

  constructor(
    readonly name: string,
    /** How linear layers and convolutions hold their weights. */
    readonly precision: WeightPrecision,
  ) {}

  input(name: string, dtype: DType, shape: readonly Dimension[]): Value {
    this.taken.add(name);
    const value = new Value(this, name, 'input');
    this.inputs.push({ value, dtype, shape });
    return value;
  }

  /** Publishes a value under a name. */
  output(name: string, value: Value, dtype: DType, shape: readonly Dimension[]): void {
    // A computed value takes the name itself: a copying node would keep callers from giving it a buffer of their own.
    const own = value.kind === 'computed' && !this.outputs.some((port) => port.value === value);
    const published = own ? value : (this.node('Identity', [value])[0] as Value);
    published.publishAs(name);
    this.taken.add(name);
    this.outputs.push({ value: published, dtype, shape });
  }

  /** Nodes and weights made inside `body` get names below `name`. */
  scope<T>(name: string, body: () => T): T {
    this.scopes.push(name);
    try {
      return body();
    } finally {
      this.scopes.pop();
    }
  }

  /** Adds an operator. An undefined input is an optional one left out. */
  node(
    op: string,
    inputs: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, Attribute>> = {},
    options: { readonly domain?: string; readonly outputs?: number } = {},
  ): Value[] {
    const name = this.uniqueName(op);
    const count = options.outputs ?? 1;
    const outputs = Array.from(
      { length: count },
      (_, i) => new Value(this, count === 1 ? name : `${name}:${i}`, 'computed'),
    );
    this.nodes.push({ op, domain: options.domain ?? '', name, inputs, outputs, attributes });
    return outputs;
  }

  /** A small tensor known now. The same one twice is one. */
  constant(dtype: DType, shape: readonly number[], data: ArrayBufferView): Value {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const key = `${dtype}[${shape.join()}]${bytes.toString('base64')}`;
    const load = wholeWeights(() => Promise.resolve([data]));
    return this.sharedWeights(
      key,
      false,
      () => [this.uniqueName('constant', false)],
      [{ dtype, shape }],
      load,
    )[0] as Value;
  }

  int64(...values: readonly number[]): Value {
    return this.constant('int64', [values.length], BigInt64Array.from(values, BigInt));
  }

  float32(value: number): Value {
    return this.constant('float32', [], Float32Array.of(value));
  }

  /** A tensor of the model. Asked for again under the same name, it is the same one (tied weights). */
  weight(name: string, spec: TensorSpec, load: (signal?: AbortSignal) => Promise<ArrayBufferView>): Value {
    return this.weightGroup([name], [spec], async (signal) => [await load(signal)])[0] as Value;
  }

  /** Several tensors that come from one computation, each array holding a tensor's bytes. */
  weightGroup(
    names: readonly string[],
    specs: readonly TensorSpec[],
    load: (signal?: AbortSignal) => Promise<readonly ArrayBufferView[]>,
  ): Value[] {
    return this.streamedWeights(names, specs, wholeWeights(load));
  }

  /** The same for tensors that are too large to be held whole. */
  streamedWeights(names: readonly string[], specs: readonly TensorSpec[], load: WeightGroup['load']): Value[] {
    return this.sharedWeights(names.join('\n'), true, () => names, specs, load);
  }

  private sharedWeights(
    key: string,
    ofModel: boolean,
    names: () => readonly string[],
    specs: readonly TensorSpec[],
    load: WeightGroup['load'],
  ): Value[] {
    const known = this.shared.get(key);
    if (known !== undefined) return known;
    const values = names().map((name) => {
      this.taken.add(name);
      return new Value(this, name, 'weight');
    });
    const tensors = specs.map((spec, i) => ({
      ...spec,
      value: values[i] as Value,
      bytes: elementCount(spec.shape) * bytesPerElement[spec.dtype],
    }));
    this.weights.push({ ofModel, tensors, load });
    this.shared.set(key, values);
    return values;
  }

  private uniqueName(base: string, scoped = true): string {
    const path = scoped ? [...this.scopes, base].join('/') : base;
    let name = path;
    for (let i = this.counters.get(path) ?? 0; this.taken.has(name); ) {
      name = `${path}_${++i}`;
      this.counters.set(path, i);
    }
    this.taken.add(name);
    return name;
  }
}
