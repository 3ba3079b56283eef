import { feedForward } from '../../layers/index.js';
import type { CausalLm } from '../../stages/causal-lm.js';
import { type DecoderOptions, decoderParts } from './decoder.js';
import type { DenseDecoderConfig } from './decoder-fields.js';
import { decoderNames } from './decoder-names.js';

/** The pieces of a dense decoder: one gated MLP in each layer. */
export function denseDecoder(config: DenseDecoderConfig, options: DecoderOptions): CausalLm {
  const { names = decoderNames } = options;
  const { attend, mlp, ...parts } = decoderParts(config, options);
  return {
    ...parts,
    layer: (index, hidden, past, inputs, weights) => {
      const module = weights.at(names.layer(index)).at(names.mlp);
      return feedForward(attend(index, hidden, past, inputs, weights), (x) => mlp(x, module, config.intermediate_size));
    },
  };
}
