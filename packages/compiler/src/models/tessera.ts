import { z } from 'zod';
import { byModelType, parseConfig } from '../config.js';
import { connectorFamilies, generatorFamilies, llmFamilies, visionFamilies } from '../families.js';
import { declareByGraphs, type ModelPlan, type StageFamilies } from './model-plan.js';
import { tokenId, tokenIds } from './token-ids.js';

const tesseraConfig = z.object({
  model_type: z.literal('tessera'),
  image_token_id: tokenId,
  vision_start_token_id: tokenId.optional(),
  vision_end_token_id: tokenId.optional(),
  generation_start_token_id: tokenId.optional(),
  generation_end_token_id: tokenId.optional(),
  vision_config: z.unknown(),
  connector_config: z.unknown(),
  text_config: z.looseObject({ eos_token_id: tokenIds }),
  generator_config: z.unknown().optional(),
});

/** Any encoder, connector, LLM and generator of the known families, put together. */
export function tessera(config: unknown): ModelPlan {
  const options = parseConfig(tesseraConfig, config, 'config.json');
  const { vision_config, connector_config, text_config, generator_config } = options;
  const openVision = byModelType(visionFamilies, vision_config, 'config.json: vision_config');
  const openConnector = byModelType(connectorFamilies, connector_config, 'config.json: connector_config');
  const openLlm = byModelType(llmFamilies, text_config, 'config.json: text_config');
  const encoder = openVision(vision_config);
  const families: StageFamilies = {
    encoder: { family: encoder, prefix: 'vision_tower' },
    connector: { family: openConnector(connector_config, encoder), prefix: 'multi_modal_projector' },
    llm: { family: openLlm(text_config), prefix: 'language_model' },
    ...(generator_config != null && {
      generator: {
        family: byModelType(generatorFamilies, generator_config, 'config.json: generator_config')(generator_config),
        prefix: '',
      },
    }),
  };
  return {
    modelType: 'tessera',
    families,
    declare: declareByGraphs(families),
    tokens: {
      mediaPad: options.image_token_id,
      visionStart: options.vision_start_token_id,
      visionEnd: options.vision_end_token_id,
      generationStart: options.generation_start_token_id,
      generationEnd: options.generation_end_token_id,
    },
    eosTokenIds: text_config.eos_token_id,
  };
}
