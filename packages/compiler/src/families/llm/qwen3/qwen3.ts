import type { CausalLm } from '../../../stages/causal-lm.js';
import { type Family, family } from '../../family.js';
import { denseDecoder } from '../dense-decoder.js';
import { windowOf } from '../sliding-window.js';
import { qwen3Config } from './config.js';

/** Qwen3 without experts, as Hugging Face's Qwen3ForCausalLM: each head of queries and keys is normed. */
export const qwen3: Family<CausalLm> = family(qwen3Config, (config) =>
  denseDecoder(config, {
    bias: { qkv: config.attention_bias, output: config.attention_bias, mlp: false },
    headNorms: true,
    window: (layer) => windowOf(config, layer),
  }),
);
