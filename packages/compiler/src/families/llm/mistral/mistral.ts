import type { CausalLm } from '../../../stages/causal-lm.js';
import { type Family, family } from '../../family.js';
import { denseDecoder } from '../dense-decoder.js';
import { mistralConfig } from './config.js';

/** Mistral, with a sliding window or without, as Hugging Face's MistralForCausalLM. */
export const mistral: Family<CausalLm> = family(mistralConfig, (config) =>
  denseDecoder(config, {
    bias: { qkv: false, output: false, mlp: false },
    headNorms: false,
    window: () => config.sliding_window ?? undefined,
  }),
);
