import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import { notBuilt, parseConfig } from '../config.js';
import { byModelType } from '../families/family.js';
import { pretrainedFields } from '../families/pretrained-fields.js';
import { families } from '../families/registry.js';
import { declareByGraphs, type ModelPlan, type StagePieces, unreadTensors } from './model-plan.js';
import { tokenId, tokenIds } from './token-ids.js';

const tesseraConfig = z
  .object({
    ...pretrainedFields,
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
  })
  .catchall(notBuilt);

/** Any encoder, connector, LLM and generator of the known families, put together. */
export function tessera(config: unknown): ModelPlan {
  const options = parseConfig(tesseraConfig, config, 'config.json');
  const { vision_config, connector_config, text_config, generator_config } = options;
  const [vision, connector, llm, generator] = ['vision', 'connector', 'text', 'generator'].map(
    (part) => `config.json: ${part}_config`,
  ) as [string, string, string, string];
  const encoder = byModelType(families.vision, vision_config, vision)(vision_config, vision);
  const projector = byModelType(families.connector, connector_config, connector);
  const stages: StagePieces = {
    encoder: { pieces: encoder, prefix: 'vision_tower' },
    connector: { pieces: projector(connector_config, connector, encoder.section), prefix: 'multi_modal_projector' },
    llm: { pieces: byModelType(families.llm, text_config, llm)(text_config, llm), prefix: 'language_model' },
    ...(generator_config != null && {
      generator: {
        pieces: byModelType(families.generator, generator_config, generator)(generator_config, generator),
        prefix: '',
      },
    }),
  };
  requireFittingWidths(stages);
  return {
    modelType: 'tessera',
    stages,
    declare: declareByGraphs(stages),
    unread: unreadTensors(stages),
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

/** Stages of any families are put together here, so no family can see that what one gives is not what the next takes. */
function requireFittingWidths({ connector, llm, generator }: StagePieces): void {
  const { hiddenSize } = llm.pieces.section;
  const problem = (text: string) => new TesseraError('CHECKPOINT_INVALID', `config.json: ${text}`);
  const llmWidth = connector?.pieces.section.llmWidth ?? hiddenSize;
  if (llmWidth !== hiddenSize) {
    throw problem(
      `connector_config makes visual tokens of width ${llmWidth}, but the model of text_config has width ${hiddenSize}`,
    );
  }
  const conditionWidth = generator?.pieces.section.conditionWidth ?? hiddenSize;
  if (conditionWidth !== hiddenSize) {
    throw problem(
      `generator_config takes a condition of width ${conditionWidth}, but it is given hidden states of text_config, of width ${hiddenSize}`,
    );
  }
}
