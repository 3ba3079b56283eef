import type { BundleManifest, LlmSection, Preprocessing, StageName } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import { parseConfig } from './config.js';
import { generationFromConfig } from './generation-config.js';
import type { ModelPlan, StageFamilies } from './models/model-plan.js';
import { tokenId } from './models/token-ids.js';
import { preprocessingFromConfig } from './preprocessor-config.js';
import type { VisionEncoder } from './vision/encoder.js';

/** The small files of a checkpoint, parsed; undefined where there is none. */
export interface CheckpointConfigs {
  readonly tokenizer: unknown;
  readonly preprocessor: unknown;
  readonly generation: unknown;
}

export const graphFile: Readonly<Record<StageName, string>> = {
  encoder: 'encoder.onnx',
  connector: 'connector.onnx',
  llm: 'llm.onnx',
  generator: 'generator.onnx',
};

export const nullConditionFile = 'condition-null.f32';

const tokenizer = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: tokenId, content: z.string() })).default([]),
});

/** Special tokens that configs do not name, by the text that stands for them. */
const tokenTexts = { thumbnail: '<|thumbnail|>', tile: '<|tile|>' } as const;

function specialTokens(plan: ModelPlan, tokenizerFile: unknown): LlmSection['tokens'] {
  const { added_tokens } = parseConfig(tokenizer, tokenizerFile, 'tokenizer.json');
  const byText = new Map(added_tokens.map(({ content, id }) => [content, id]));
  const found = Object.entries(tokenTexts).map(([name, text]) => [name, byText.get(text)]);
  const all = { ...Object.fromEntries(found), ...plan.tokens } as Record<string, number | undefined>;
  return Object.fromEntries(Object.entries(all).filter(([, id]) => id !== undefined));
}

function encoderPreprocessing({ inputSize }: VisionEncoder, config: unknown): Preprocessing {
  if (config === undefined) {
    throw new TesseraError('CHECKPOINT_INVALID', 'preprocessor_config.json is missing; the encoder needs it');
  }
  const preprocessing = preprocessingFromConfig(config);
  const { height, width } = preprocessing.size;
  if (height !== inputSize.height || width !== inputSize.width) {
    const message = `preprocessor_config.json.size: gives ${height}x${width}; the encoder takes ${inputSize.height}x${inputSize.width}`;
    throw new TesseraError('CHECKPOINT_INVALID', message);
  }
  return preprocessing;
}

/** What the manifest says of a model before any file of it is written. */
export function manifestSections(
  plan: ModelPlan,
  families: StageFamilies,
  configs: CheckpointConfigs,
): Pick<BundleManifest, StageName | 'preprocessing' | 'generation'> {
  const { encoder, connector, llm, generator } = families;
  const { generation, eosTokenIds } = generationFromConfig(configs.generation);
  const { layers, hiddenSize, heads, kvHeads, headDim, vocabSize, maxPositions } = llm.family;
  return {
    ...(encoder && {
      encoder: {
        graph: graphFile.encoder,
        inputSize: encoder.family.inputSize,
        patches: encoder.family.patches,
        width: encoder.family.width,
      },
      preprocessing: encoderPreprocessing(encoder.family, configs.preprocessor),
    }),
    ...(connector && {
      connector: {
        graph: graphFile.connector,
        patches: connector.family.patches,
        width: connector.family.width,
        tokens: connector.family.tokens,
        llmWidth: connector.family.llmWidth,
      },
    }),
    llm: {
      graph: graphFile.llm,
      ...{ layers, hiddenSize, heads, kvHeads, headDim, vocabSize, maxPositions },
      eosTokenIds: [...new Set([...plan.eosTokenIds, ...eosTokenIds])],
      tokens: specialTokens(plan, configs.tokenizer),
    },
    ...(generator && {
      generator: {
        graph: graphFile.generator,
        nullCondition: nullConditionFile,
        height: generator.family.height,
        width: generator.family.width,
        channels: generator.family.channels,
        conditionLength: generator.family.conditionLength,
        conditionWidth: generator.family.conditionWidth,
        defaultSteps: generator.family.defaultSteps,
        defaultGuidance: generator.family.defaultGuidance,
        numTrainTimesteps: generator.family.numTrainTimesteps,
        shift: generator.family.shift,
        predictionType: generator.family.predictionType,
      },
    }),
    generation,
  };
}
