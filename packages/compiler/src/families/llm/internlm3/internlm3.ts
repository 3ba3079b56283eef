import type { CausalLm } from '../../../stages/causal-lm.js';
import { type Family, family } from '../../family.js';
import { denseDecoder } from '../dense-decoder.js';
import { internlm3Config } from './config.js';

/** InternLM3, as the InternLM3ForCausalLM that is published with it: LLaMA, with biases in other places. */
export const internlm3: Family<CausalLm> = family(internlm3Config, (config) =>
  denseDecoder(config, {
    bias: { qkv: config.qkv_bias, output: config.bias, mlp: config.bias },
    headNorms: false,
    window: () => undefined,
  }),
);
