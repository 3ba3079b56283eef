import type { CausalLm } from '../../../stages/causal-lm.js';
import { type Family, family } from '../../family.js';
import { denseDecoder } from '../dense-decoder.js';
import { windowOf } from '../sliding-window.js';
import { qwen2Config } from './config.js';

/** Qwen2 and Qwen2.5, as Hugging Face's Qwen2ForCausalLM: queries, keys and values have biases, nothing else has. */
export const qwen2: Family<CausalLm> = family(qwen2Config, (config) =>
  denseDecoder(config, {
    bias: { qkv: true, output: false, mlp: false },
    headNorms: false,
    window: (layer) => windowOf(config, layer),
  }),
);
