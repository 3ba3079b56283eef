/** A tensor of a checkpoint, read only when its values are needed. */
export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  read(signal?: AbortSignal): Promise<Float32Array>;
}

export interface ParameterSource {
  /** @throws TesseraError CHECKPOINT_INVALID when the source knows the tensor to be absent or of another shape */
  parameter(name: string, shape: readonly number[]): Parameter;
}

/**
 * Writes down what is asked for and has no values. Building a graph over it is how a family's parameters are known
 * from its config alone: what is declared and what is read cannot differ.
 */
export class DeclaredParameters implements ParameterSource {
  readonly declared = new Map<string, readonly number[]>();

  parameter(name: string, shape: readonly number[]): Parameter {
    this.declared.set(name, shape);
    return { name, shape, read: () => Promise.reject(new Error(`${name} is declared, not loaded`)) };
  }
}

/** A place in a checkpoint's tree of names, as `model.layers.3.mlp` is. */
export class Module {
  constructor(
    private readonly source: ParameterSource,
    private readonly prefix = '',
  ) {}

  /** The module below this one, e.g. `weights.at('layers.3').at('mlp')`. */
  at(name: string): Module {
    return new Module(this.source, `${this.prefix}${name}.`);
  }

  parameter(name: string, shape: readonly number[]): Parameter {
    return this.source.parameter(this.prefix + name, shape);
  }
}
