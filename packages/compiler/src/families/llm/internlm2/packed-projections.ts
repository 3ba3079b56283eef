import {
  Module,
  type Parameter,
  type ParameterSource,
  parameterOfRows,
  rowLength,
} from '../../../checkpoint/parameters.js';

export interface PackedShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Rows of a group that one projection has: from the first, as many. In heads. */
interface Part {
  readonly name: string;
  readonly from: number;
  readonly heads: number;
}

/**
 * One linear layer's `weight` [(heads + 2 * kvHeads) * headDim, width], and its `bias` likewise, as the three layers that lie
 * packed in it: for each key head the query heads of its group, then the key head, then the value head.
 */
export function packedProjections(
  module: Module,
  { heads, kvHeads, headDim }: PackedShape,
): { readonly query: Module; readonly key: Module; readonly value: Module } {
  const queries = heads / kvHeads;
  const part = (name: string, from: number, count: number): Module =>
    new Module(
      new PackedPart(module, { name, from, heads: count }, { groups: kvHeads, headDim, inGroup: queries + 2 }),
    );
  return { query: part('query', 0, queries), key: part('key', queries, 1), value: part('value', queries + 1, 1) };
}

class PackedPart implements ParameterSource {
  constructor(
    private readonly packed: Module,
    private readonly part: Part,
    private readonly shape: { readonly groups: number; readonly headDim: number; readonly inGroup: number },
  ) {}

  parameter(name: string, shape: readonly number[]): Parameter {
    const { part } = this;
    const { groups, headDim, inGroup } = this.shape;
    const packed = this.packed.parameter(name, [groups * inGroup * headDim, ...shape.slice(1)]);
    const length = rowLength(shape);
    const own = part.heads * headDim;
    return parameterOfRows({
      name: `${packed.name}:${part.name}`,
      shape,
      ...(packed.file !== undefined && { file: packed.file }),
      readRows: async (first, target, signal) => {
        const end = first + target.length / length;
        for (let row = first; row < end; ) {
          const group = Math.floor(row / own);
          const next = Math.min((group + 1) * own, end);
          const place = (group * inGroup + part.from) * headDim + (row - group * own);
          await packed.readRows(place, target.subarray((row - first) * length, (next - first) * length), signal);
          row = next;
        }
      },
    });
  }
}
