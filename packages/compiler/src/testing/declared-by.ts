import { elementCount } from '@tessera/protocol';
import { DeclaredParameters, Module } from '../checkpoint/parameters.js';
import { type CausalLm, causalLmGraph } from '../stages/causal-lm.js';

/** What an LLM's graph has by its config alone. */
export interface Declared {
  /** The shapes of its tensors, by name. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly parameters: number;
  /** How many positions the queries of each layer see; undefined: all before them. */
  readonly windows: readonly (number | undefined)[];
}

export function declaredBy(model: CausalLm): Declared {
  const source = new DeclaredParameters();
  const graph = causalLmGraph(model, new Module(source), 'float32');
  const shapes = source.declared;
  return {
    shapes,
    parameters: [...shapes.values()].reduce((sum, shape) => sum + elementCount(shape), 0),
    windows: graph.nodes
      .filter(({ op }) => op === 'GroupQueryAttention')
      .map(({ attributes }) => attributes.local_window_size as number | undefined),
  };
}
