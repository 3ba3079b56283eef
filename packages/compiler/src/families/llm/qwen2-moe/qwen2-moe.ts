import type { CausalLm } from '../../../stages/causal-lm.js';
import { type Family, family } from '../../family.js';
import { expertsOf, hasExperts } from '../qwen-experts.js';
import { windowOf } from '../sliding-window.js';
import { sparseDecoder } from '../sparse-decoder.js';
import { qwen2MoeConfig } from './config.js';
import { names, sharedNames } from './tensor-names.js';

/** As transformers has it since it knows layer_types; before that it was as Qwen2 has it. No published model has windows. */
const everySecondBefore = (layer: number, maxWindowLayers: number): boolean =>
  layer < maxWindowLayers && layer % 2 === 0;

/** Qwen1.5 and Qwen2 with mixture-of-experts layers, each beside an expert of all rows, as Hugging Face's Qwen2MoeForCausalLM. */
export const qwen2Moe: Family<CausalLm> = family(qwen2MoeConfig, (config) =>
  sparseDecoder(config, {
    names,
    bias: { qkv: config.qkv_bias, output: false, mlp: false },
    headNorms: false,
    window: (layer) => windowOf(config, layer, everySecondBefore),
    experts: {
      count: expertsOf(config),
      chosen: config.num_experts_per_tok,
      normalize: config.norm_topk_prob,
      inner: config.moe_intermediate_size,
    },
    shared: { names: sharedNames, inner: config.shared_expert_intermediate_size },
    hasExperts: (layer) => hasExperts(config, layer),
    denseInner: config.intermediate_size ?? undefined,
  }),
);
