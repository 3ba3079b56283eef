import { stageNames } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import type { PublishedModel, PublishedTensorInfo } from './checkpoint/published-model.js';
import { declaredParameters } from './count-parameters.js';
import type { ModelPlan } from './models/model-plan.js';

/** What older releases of published code saved along though it is computed, not learned: angles of positions. */
const computedBuffers = /(^|\.)(rotary_emb|rope)\.(inv_freq|cos_cached|sin_cached)$/;

/** Integers are counters and indices, which some frameworks save along; they are no parameters. */
export const isInteger = ({ dtype }: PublishedTensorInfo): boolean => /^(BOOL|[IU]\d+)$/.test(dtype);

/** Several experts in one tensor, as transformers holds them in memory and nobody publishes them. */
const packedExperts = /\.experts\.(gate_up_proj|down_proj)$/;

/**
 * The tensors of a model that nothing is computed with, though they are no buffers that say nothing: integers, angles of
 * positions, and the head of its own that some publish though config.json ties it to the embedding.
 */
export function unusedTensors(model: PublishedModel, plan: ModelPlan): PublishedTensorInfo[] {
  const used = new Set(stageNames.flatMap((stage) => [...declaredParameters(plan, stage).keys()]));
  const unread = new Set(plan.unread);
  return [...model.tensors()].filter(
    (tensor) =>
      !used.has(tensor.name) && !unread.has(tensor.name) && !isInteger(tensor) && !computedBuffers.test(tensor.name),
  );
}

/**
 * Refuses a model with tensors that nothing would be computed with: what is compiled would be another model.
 * @throws TesseraError CHECKPOINT_INVALID naming the first of them and its file
 */
export function requireUsed(model: PublishedModel, plan: ModelPlan): void {
  const [first, ...others] = unusedTensors(model, plan);
  if (first === undefined) return;
  const more = others.length === 0 ? '' : ` (nor are ${others.length} more)`;
  const hint = packedExperts.test(first.name)
    ? '; experts are read one by one, as published, which save_pretrained of transformers writes'
    : '';
  const what = `${first.name} is no tensor of what config.json describes${more}: it would not be computed with${hint}`;
  throw new TesseraError('CHECKPOINT_INVALID', `${first.file}: ${what}`);
}
