import { Module, type Parameter, type ParameterSource } from '../../../checkpoint/parameters.js';

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
    return {
      name: `${packed.name}:${part.name}`,
      shape,
      read: async (signal) => {
        const source = await packed.read(signal);
        const head = source.length / (groups * inGroup);
        const target = new Float32Array(groups * part.heads * head);
        for (let group = 0; group < groups; group++) {
          const begin = (group * inGroup + part.from) * head;
          target.set(source.subarray(begin, begin + part.heads * head), group * part.heads * head);
        }
        return target;
      },
    };
  }
}
