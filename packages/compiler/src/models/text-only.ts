import { z } from 'zod';
import { parseConfig } from '../config.js';
import { byModelType } from '../families/family.js';
import { families } from '../families/registry.js';
import { declareByGraphs, type ModelPlan, unreadTensors } from './model-plan.js';
import { tokenIds } from './token-ids.js';

const textConfig = z.looseObject({ model_type: z.string(), eos_token_id: tokenIds.nullish() });

/** An LLM published on its own. */
export function textOnly(config: unknown): ModelPlan {
  const { model_type, eos_token_id } = parseConfig(textConfig, config, 'config.json');
  const llm = byModelType(families.llm, config, 'config.json')(config, 'config.json');
  const stages = { llm: { pieces: llm, prefix: '' } };
  return {
    modelType: model_type,
    stages,
    declare: declareByGraphs(stages),
    unread: unreadTensors(stages),
    tokens: {},
    eosTokenIds: eos_token_id ?? [],
  };
}
