import type { Module } from '../../checkpoint/parameters.js';
import { add, type Value } from '../../graph/index.js';
import { feedForward, routeRows, sharedExpert, sparseMlp } from '../../layers/index.js';
import type { CausalLm, RoutedExperts } from '../../stages/causal-lm.js';
import { type DecoderOptions, decoderParts } from './decoder.js';
import type { DecoderConfig } from './decoder-fields.js';
import type { DecoderNames } from './decoder-names.js';

/** Where the tensors of a decoder with experts are. What an MLP has lies below each expert, too. */
interface SparseDecoderNames extends DecoderNames {
  /** Of a layer. */
  readonly router: string;
  readonly expert: (index: number) => string;
}

/** An expert that every row goes to. */
interface SharedExpert {
  /** Where it is in a layer, and the linear layer to one number that says how much its answer counts. */
  readonly names: { readonly expert: string; readonly gate: string };
  readonly inner: number;
}

interface SparseDecoderOptions extends DecoderOptions {
  readonly names: SparseDecoderNames;
  readonly experts: {
    readonly count: number;
    /** Experts that each row goes to. */
    readonly chosen: number;
    /** Whether the chosen experts' shares are made to sum to 1. */
    readonly normalize: boolean;
    readonly inner: number;
  };
  /** Only where there is one. */
  readonly shared?: SharedExpert;
  hasExperts(layer: number): boolean;
  /** Of the MLP in layers without experts; undefined where each layer has them. */
  readonly denseInner?: number | undefined;
}

/** The pieces of a decoder in which some layers have a mixture of experts in the place of the one MLP. */
export function sparseDecoder(config: DecoderConfig, options: SparseDecoderOptions): CausalLm {
  const { names, experts, shared, hasExperts, denseInner } = options;
  const { hidden_size: width, num_hidden_layers: layers } = config;
  const { attend, mlp, ...parts } = decoderParts(config, options);
  const routing = { experts: experts.count, chosen: experts.chosen, width, normalize: experts.normalize };
  const moduleOf = (layer: number, weights: Module): Module => weights.at(names.layer(layer));

  function sharedAnswer(x: Value, module: Module, { names: own, inner }: SharedExpert): Value {
    return sharedExpert(x, module.at(own.gate), (rows) => mlp(rows, module.at(own.expert), inner), width);
  }

  const routed: RoutedExperts = {
    experts: experts.count,
    chosen: experts.chosen,
    layers: Array.from({ length: layers }, (_, layer) => layer).filter(hasExperts),
    attend: (layer, hidden, past, inputs, weights) => {
      const attended = attend(layer, hidden, past, inputs, weights);
      if (shared === undefined) return attended;
      const { residual, normed } = attended;
      // Before the routed experts' answers, which come from elsewhere where they are cut out: the sum is the same then.
      const sum = () => add(residual, sharedAnswer(normed, moduleOf(layer, weights), shared));
      return { ...attended, residual: residual.graph.scope('mlp', sum) };
    },
    route: (layer, normed, weights) => routeRows(normed, moduleOf(layer, weights).at(names.router), routing),
    expert: (layer, index, rows, weights) => mlp(rows, moduleOf(layer, weights).at(names.expert(index)), experts.inner),
  };

  return {
    ...parts,
    routed,
    layer: (index, hidden, past, inputs, weights) => {
      const module = moduleOf(index, weights);
      if (!hasExperts(index)) {
        const attended = attend(index, hidden, past, inputs, weights);
        return feedForward(attended, (x) => mlp(x, module.at(names.mlp), denseInner as number));
      }
      const expert = (number: number, rows: Value): Value => routed.expert(index, number, rows, weights);
      return feedForward(routed.attend(index, hidden, past, inputs, weights), (x) =>
        sparseMlp(x, module.at(names.router), expert, routing),
      );
    },
  };
}
