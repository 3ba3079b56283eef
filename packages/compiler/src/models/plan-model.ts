import { withoutQuantization } from '../checkpoint/quantization.js';
import { byModelType } from '../families/family.js';
import { families } from '../families/registry.js';
import type { ModelPlan } from './model-plan.js';
import { qwenVl } from './qwen-vl.js';
import { tessera } from './tessera.js';
import { textOnly } from './text-only.js';

/** What a whole config.json can be. An LLM that is published on its own is one, whichever its family. */
const models: Readonly<Record<string, (config: unknown) => ModelPlan>> = {
  ...Object.fromEntries(Object.keys(families.llm).map((modelType) => [modelType, textOnly])),
  tessera,
  qwen: qwenVl,
};

/**
 * What a config.json says the model is.
 * @throws TesseraError CHECKPOINT_INVALID on an unknown model_type or a field that does not fit
 */
export function planModel(config: unknown): ModelPlan {
  const known = withoutQuantization(config);
  return byModelType(models, known, 'config.json')(known);
}
