import type { CausalLm } from '../../../stages/causal-lm.js';
import { type Family, family } from '../../family.js';
import { denseDecoder } from '../dense-decoder.js';
import { llamaConfig } from './config.js';

/** LLaMA 1, 2 and 3, and what is published in their form, as Hugging Face's LlamaForCausalLM. */
export const llama: Family<CausalLm> = family(llamaConfig, (config) =>
  denseDecoder(config, {
    bias: { qkv: config.attention_bias, output: config.attention_bias, mlp: config.mlp_bias },
    headNorms: false,
    window: () => undefined,
  }),
);
