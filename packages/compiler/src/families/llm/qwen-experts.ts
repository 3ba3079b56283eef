import { z } from 'zod';
import { ofNoMatter, pieces, positive } from '../../config.js';

/**
 * How configs of Qwen's kind describe mixtures of experts. A schema that has these fields ends with
 * `.superRefine(fittingExperts)`.
 */
export const qwenExpertFields = {
  /** Of layers without experts. */
  intermediate_size: positive.nullish(),
  num_experts: pieces.nullish(),
  /** What transformers writes in its place, for some families, from version 5 on. */
  num_local_experts: pieces.nullish(),
  num_experts_per_tok: positive,
  moe_intermediate_size: positive,
  norm_topk_prob: z.boolean().default(false),
  /** Every so many layers have experts, those of mlp_only_layers left out. */
  decoder_sparse_step: positive.default(1),
  mlp_only_layers: z.array(z.number().int().nonnegative()).nullish(),
  /** Training. */
  output_router_logits: ofNoMatter,
  router_aux_loss_coef: ofNoMatter,
};

type QwenExpertConfig = z.infer<z.ZodObject<typeof qwenExpertFields>> & { readonly num_hidden_layers: number };

/** Experts of each layer that has them. */
export function expertsOf({ num_experts, num_local_experts }: QwenExpertConfig): number {
  return (num_experts ?? num_local_experts) as number;
}

export function hasExperts(config: QwenExpertConfig, layer: number): boolean {
  return config.mlp_only_layers?.includes(layer) !== true && (layer + 1) % config.decoder_sparse_step === 0;
}

/** Refuses two numbers of experts or none, more choices than experts, and layers without experts whose MLP has no size. */
export function fittingExperts(config: QwenExpertConfig, context: z.RefinementCtx): void {
  const problem = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message });
  const { num_experts, num_local_experts } = config;
  if (num_experts == null && num_local_experts == null) problem('num_experts', 'is missing');
  if (num_experts != null && num_local_experts != null && num_experts !== num_local_experts) {
    problem('num_local_experts', `is ${num_local_experts}, but num_experts is ${num_experts}`);
  }
  if (config.num_experts_per_tok > expertsOf(config)) problem('num_experts_per_tok', 'is more than there are experts');
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => layer);
  if (config.intermediate_size == null && layers.some((layer) => !hasExperts(config, layer))) {
    problem('intermediate_size', 'is needed where some layers have no experts');
  }
}
