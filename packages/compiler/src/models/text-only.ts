import { z } from 'zod';
import { byModelType, parseConfig } from '../config.js';
import { llmFamilies } from '../families.js';
import { declareByGraphs, type ModelPlan } from './model-plan.js';
import { tokenIds } from './token-ids.js';

const textConfig = z.looseObject({ model_type: z.string(), eos_token_id: tokenIds });

/** An LLM published on its own. */
export function textOnly(config: unknown): ModelPlan {
  const { model_type, eos_token_id } = parseConfig(textConfig, config, 'config.json');
  const families = {
    llm: { family: byModelType(llmFamilies, config, 'config.json')(config, 'config.json'), prefix: '' },
  };
  return {
    modelType: model_type,
    families,
    declare: declareByGraphs(families),
    tokens: {},
    eosTokenIds: eos_token_id,
  };
}
