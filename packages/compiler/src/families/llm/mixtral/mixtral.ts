import type { CausalLm } from '../../../stages/causal-lm.js';
import { type Family, family } from '../../family.js';
import { sparseDecoder } from '../sparse-decoder.js';
import { mixtralConfig } from './config.js';
import { names } from './tensor-names.js';

/** The published code's own base of the angles, which is not that of the others. */
const theta = 1_000_000;

/** Mixtral, as Hugging Face's MixtralForCausalLM: Mistral with experts in every layer, whose shares sum to 1. */
export const mixtral: Family<CausalLm> = family(mixtralConfig, (config) => {
  const { rope_theta, rope_parameters } = config;
  const angled = { ...config, rope_theta: rope_theta ?? rope_parameters?.rope_theta ?? theta };
  return sparseDecoder(angled, {
    names,
    bias: { qkv: false, output: false, mlp: false },
    headNorms: false,
    window: () => config.sliding_window ?? undefined,
    experts: {
      count: config.num_local_experts,
      chosen: config.num_experts_per_tok,
      normalize: true,
      inner: config.intermediate_size,
    },
    hasExperts: () => true,
  });
});
