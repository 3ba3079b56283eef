import { elementCount } from '@tessera/protocol';

/** A tensor of a checkpoint, read only when its values are needed. */
export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  /** The path of the file that has it, where there is one: for errors. */
  readonly file?: string;
  /**
   * Fills `target` with rows from `first` on, in float32. A row is what one index of the first axis holds: of [a, b, c] b * c
   * values, of [] the one. `target` holds a whole number of rows, all of them there.
   */
  readRows(first: number, target: Float32Array, signal?: AbortSignal): Promise<void>;
  /** All of it at once: for what is small, or needed whole. */
  read(signal?: AbortSignal): Promise<Float32Array>;
  /** How the checkpoint itself holds a weight [rows, columns], where that is in blocks as MatMulNBits has them. */
  readonly stored?: StoredBlocks;
}

/**
 * A weight [rows, columns] that is rounded already, in blocks of `blockSize` columns with a scale each: `(value - zero) * scale`.
 * A linear layer that is to have as many bits or more takes the blocks as they are, since to round again would lose and win nothing.
 */
export interface StoredBlocks extends BlockLayout {
  /** `count` rows from `first` on. */
  readRows(first: number, count: number, signal?: AbortSignal): Promise<Blocks>;
}

/** How the blocks of a weight are made. */
export interface BlockLayout {
  readonly bits: 4 | 8;
  /** Columns: a power of two from 16 on. */
  readonly blockSize: number;
  /** The type of each block's zero point; 'none' where it is the middle of the range, 8 or 128. */
  readonly zeroPoints: 'none' | 'uint8' | 'float32';
}

/** Rows in blocks, as MatMulNBits takes them. The last block of a row is filled up with its zero point. */
export interface Blocks {
  /** [rows, blocks, blockSize * bits / 8]; of 4 bits two a byte, the even column low. */
  readonly values: Uint8Array;
  /** [rows, blocks]. */
  readonly scales: Float32Array;
  /** As uint8 [rows, ceil(blocks * bits / 8)], packed as values are, each row from a byte of its own; as float32 [rows, blocks]. */
  readonly zeroPoints?: Uint8Array | Float32Array;
}

/** A parameter that is read by rows; `read` is then known. */
export function parameterOfRows(one: Omit<Parameter, 'read'>): Parameter {
  return {
    ...one,
    read: async (signal) => {
      const values = new Float32Array(elementCount(one.shape));
      await one.readRows(0, values, signal);
      return values;
    },
  };
}

/** How many values a row of a parameter has. */
export const rowLength = (shape: readonly number[]): number => elementCount(shape.slice(1));

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
    const readRows = () => Promise.reject(new Error(`${name} is declared, not loaded`));
    return parameterOfRows({ name, shape, readRows });
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
