import { byModelType } from '../config.js';
import type { ModelPlan } from './model-plan.js';
import { qwenVl } from './qwen-vl.js';
import { tessera } from './tessera.js';
import { textOnly } from './text-only.js';

const models: Readonly<Record<string, (config: unknown) => ModelPlan>> = {
  tessera,
  qwen: qwenVl,
  qwen3_moe: textOnly,
};

/**
 * What a config.json says the model is.
 * @throws TesseraError CHECKPOINT_INVALID on an unknown model_type or a field that does not fit
 */
export function planModel(config: unknown): ModelPlan {
  return byModelType(models, config, 'config.json')(config);
}
