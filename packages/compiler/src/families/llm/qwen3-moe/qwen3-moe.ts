import type { CausalLm } from '../../../stages/causal-lm.js';
import { type Family, family } from '../../family.js';
import { expertsOf, hasExperts } from '../qwen-experts.js';
import { sparseDecoder } from '../sparse-decoder.js';
import { qwen3MoeConfig } from './config.js';
import { names } from './tensor-names.js';

/** Qwen3 with mixture-of-experts layers, as Hugging Face's Qwen3MoeForCausalLM: each head of queries and keys is normed. */
export const qwen3Moe: Family<CausalLm> = family(qwen3MoeConfig, (config) =>
  sparseDecoder(config, {
    names,
    bias: { qkv: config.attention_bias, output: config.attention_bias, mlp: false },
    headNorms: true,
    window: () => (config.use_sliding_window ? (config.sliding_window ?? undefined) : undefined),
    experts: {
      count: expertsOf(config),
      chosen: config.num_experts_per_tok,
      normalize: config.norm_topk_prob,
      inner: config.moe_intermediate_size,
    },
    hasExperts: (layer) => hasExperts(config, layer),
    denseInner: config.intermediate_size ?? undefined,
  }),
);
