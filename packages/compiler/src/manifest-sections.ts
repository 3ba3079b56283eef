import type { BundleManifest, LlmSection, StageName } from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { ChatTemplates, type Tokenizer } from '@tessera/tokenizer';
import type { BundleForm } from './bundle-form.js';
import type { CheckpointTokenizer } from './checkpoint/checkpoint-tokenizer.js';
import { piecesOf } from './cut.js';
import { expertCut } from './expert-pieces.js';
import { generationFromConfig } from './generation-config.js';
import { layerCut } from './layer-cut.js';
import type { ModelPlan, StagePieces } from './models/model-plan.js';
import { checkTokenizer } from './tokenizer-files.js';

/** The small files of a checkpoint, parsed; undefined where one is not there that need not be. */
export interface CheckpointConfigs {
  readonly tokenizer: CheckpointTokenizer;
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

/** Special tokens that configs do not name, by the text that stands for them. */
const tokenTexts = { thumbnail: '<|thumbnail|>', tile: '<|tile|>' } as const;

function specialTokens(plan: ModelPlan, { addedTokens }: Tokenizer): LlmSection['tokens'] {
  const byText = new Map(addedTokens.map(({ content, id }) => [content, id]));
  const found = Object.entries(tokenTexts).map(([name, text]) => [name, byText.get(text)]);
  const all = { ...Object.fromEntries(found), ...plan.tokens } as Record<string, number | undefined>;
  return Object.fromEntries(Object.entries(all).filter(([, id]) => id !== undefined));
}

/** Tokens that end an answer, as the tokenizer and its chat template say: configs of fine-tuned models often keep the old one. */
function endsOfAnswers({ config }: CheckpointTokenizer, tokenizer: Tokenizer): number[] {
  const templates = new ChatTemplates(config);
  const end = templates.endText === undefined ? undefined : tokenizer.idOf(templates.endText);
  const turn = templates.default()?.endOfTurn(tokenizer);
  return [end, turn].filter((id) => id !== undefined);
}

/** What the manifest says of a model before any file of it is written: each family's section, and what is of no family. */
export function manifestSections(
  plan: ModelPlan,
  { encoder, connector, llm, generator }: StagePieces,
  configs: CheckpointConfigs,
  { weights, cut }: BundleForm,
): Pick<BundleManifest, StageName | 'preprocessing' | 'generation'> {
  const pieces = piecesOf(cut);
  const { generation, eosTokenIds } = generationFromConfig(configs.generation);
  const tokenizer = checkTokenizer(configs.tokenizer, llm.pieces.section.vocabSize);
  const ends = endsOfAnswers(configs.tokenizer, tokenizer);
  const allEosTokenIds = [...new Set([...plan.eosTokenIds, ...eosTokenIds, ...ends])];
  if (allEosTokenIds.length === 0) {
    const nowhere =
      'neither config.json nor generation_config.json has eos_token_id, nor tokenizer_config.json an eos_token';
    throw new TesseraError('CHECKPOINT_INVALID', `${nowhere}: an answer would never end`);
  }
  return {
    ...(encoder && {
      encoder: { graph: graphFile.encoder, ...encoder.pieces.section },
      preprocessing: encoder.pieces.preprocessing(configs.preprocessor),
    }),
    ...(connector && { connector: { graph: graphFile.connector, ...connector.pieces.section } }),
    llm: {
      graph: graphFile.llm,
      ...llm.pieces.section,
      eosTokenIds: allEosTokenIds,
      tokens: specialTokens(plan, tokenizer),
      ...(cut === 'experts' && { experts: expertCut(llm, weights) }),
      ...(pieces !== undefined && { layerPieces: layerCut(llm, pieces, weights) }),
    },
    ...(generator && {
      generator: { graph: graphFile.generator, nullCondition: nullConditionFile, ...generator.pieces.section },
    }),
    generation,
  };
}
