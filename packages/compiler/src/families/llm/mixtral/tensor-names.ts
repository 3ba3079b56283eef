import { decoderNames } from '../decoder-names.js';

/** Where MixtralForCausalLM keeps its tensors. No layer has an MLP of its own. */
export const names = {
  ...decoderNames,
  router: 'block_sparse_moe.gate',
  expert: (index: number): string => `block_sparse_moe.experts.${index}`,
  /** Below an expert. */
  gate: 'w1',
  up: 'w3',
  down: 'w2',
};
