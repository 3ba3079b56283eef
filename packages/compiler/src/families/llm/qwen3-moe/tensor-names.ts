import { decoderNames } from '../decoder-names.js';

/** Where Qwen3MoeForCausalLM keeps its tensors. */
export const names = {
  ...decoderNames,
  router: 'mlp.gate',
  /** Like an MLP's, the three linear layers lie below it. */
  expert: (index: number): string => `mlp.experts.${index}`,
};
