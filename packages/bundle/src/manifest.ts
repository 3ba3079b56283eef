import { z } from 'zod';
import { preprocessingSchema } from './preprocessing.js';

/** The one version that this code writes and reads: of bundle.json, and of the inputs and outputs of the graphs. */
export const bundleFormatVersion = 2;

/** The file that makes a folder a bundle. */
export const manifestFileName = 'bundle.json';

/** What prompts are built with: the checkpoint's own files, in every bundle under these names. */
export const tokenizerFiles = ['tokenizer.json', 'tokenizer_config.json'] as const;
/** Of a JSON file of a checkpoint or its bundle: tokenizer.json of 256,000 words has 35 MB. */
export const maxJsonBytes = 256 * 1024 * 1024;

/**
 * How linear layers hold their weights; other tensors are as fine or finer. int8 and int4 have a scale for each block of 32
 * columns, with -g128 of 128, and with -zp a zero point, too.
 */
export const weightKinds = [
  'float32',
  'float16',
  'int8',
  'int8-g128',
  'int8-zp',
  'int8-g128-zp',
  'int4',
  'int4-g128',
  'int4-zp',
  'int4-g128-zp',
] as const;
export type WeightKind = (typeof weightKinds)[number];

/** How the LLM's keys and values are held from step to step. */
export const kvCacheTypes = ['float32', 'float16'] as const;
export type KvCacheType = (typeof kvCacheTypes)[number];

const count = z.number().int().positive();
const tokenId = z.number().int().nonnegative();
const finite = z.number();
/** A file name inside the bundle: one level, so nothing can reach out of the folder. */
const fileName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'is not a plain file name');
const size = z.strictObject({ height: count, width: count });

/** encoder.onnx: pixel_values float32 [batch, 3, height, width] -> features float32 [batch, patches, width]. */
const encoderSection = z.strictObject({ graph: fileName, inputSize: size, patches: count, width: count });

/** connector.onnx: features float32 [batch, patches, width] -> visual_tokens float32 [batch, tokens, llmWidth]. */
const connectorSection = z.strictObject({
  graph: fileName,
  patches: count,
  width: count,
  tokens: count,
  llmWidth: count,
});

/** Ids of the tokens that mean something to the runtime. One that the model lacks is absent. */
const specialTokens = z.strictObject({
  /** Stands for one visual token; its embedding is replaced. */
  mediaPad: tokenId.optional(),
  visionStart: tokenId.optional(),
  visionEnd: tokenId.optional(),
  /** The LLM writes it when it asks for a picture. */
  generationStart: tokenId.optional(),
  generationEnd: tokenId.optional(),
  /** Before the thumbnail's tokens, and before each tile's, of a picture cut into tiles. */
  thumbnail: tokenId.optional(),
  tile: tokenId.optional(),
});

/**
 * The LLM in pieces, so that its experts can be computed in other processes: graphs described in @tessera/compiler's
 * stages/cut-causal-lm.ts. Their weights lie in the whole graph's file.
 */
const expertCut = z.strictObject({
  /** Experts of each layer that has them. */
  perLayer: count,
  /** Experts that each row goes to. */
  chosen: count,
  /** Bytes of one expert's weights; all are alike. */
  expertBytes: count,
  /** Graphs of what lies between the experts: one more than there are layers with experts. */
  sections: z.array(fileName).min(2),
  /** The layers that have experts, from the first, with a graph for each expert. */
  layers: z.array(z.strictObject({ layer: z.int().nonnegative(), experts: z.array(fileName).min(1) })).min(1),
});

/**
 * The LLM in pieces of layers that follow each other, so that each can be computed in another process: graphs described in
 * @tessera/compiler's stages/layer-pieces.ts. Each has its weights in a file of its own, and the whole graph has none
 * besides.
 */
const layerCut = z.strictObject({
  /** Graph of what follows the last piece; its weights lie in the first one's file. */
  head: fileName,
  /** In their order; the first begins with the embedding. */
  pieces: z.array(z.strictObject({ graph: fileName, firstLayer: z.int().nonnegative(), layers: count })).min(2),
});

/** llm.onnx: its inputs and outputs are described beside the graph, in @tessera/compiler's stages/causal-lm.ts. */
const llmSection = z.strictObject({
  graph: fileName,
  layers: count,
  hiddenSize: count,
  heads: count,
  kvHeads: count,
  headDim: count,
  vocabSize: count,
  /** The longest sequence, prompt and answer together, that positions are defined for. */
  maxPositions: count,
  /** As what the graphs are given their cache and give it back; float32 where nothing is said. */
  kvCache: z.enum(kvCacheTypes).optional(),
  /** Any of these ends the answer. */
  eosTokenIds: z.array(tokenId).min(1),
  tokens: specialTokens,
  /** Present where the bundle was compiled so. */
  experts: expertCut.optional(),
  /** Present where it was compiled so. */
  layerPieces: layerCut.optional(),
});

/** Every graph of the model in pieces, where there are any. */
export function graphsOfCuts({ experts, layerPieces }: z.infer<typeof llmSection>): string[] {
  return [
    ...(experts === undefined ? [] : [...experts.sections, ...experts.layers.flatMap((layer) => layer.experts)]),
    ...(layerPieces === undefined ? [] : [layerPieces.head, ...layerPieces.pieces.map(({ graph }) => graph)]),
  ];
}

/**
 * generator.onnx: sample float32 [batch, channels, height, width], timestep float32 [batch] (sigma * numTrainTimesteps)
 * and condition float32 [batch, conditionLength, conditionWidth] -> predicted, of the sample's shape.
 */
const generatorSection = z.strictObject({
  graph: fileName,
  /** Raw little-endian float32 [conditionLength, conditionWidth]: the condition of "nothing asked for". */
  nullCondition: fileName,
  height: count,
  width: count,
  channels: count,
  conditionLength: count,
  conditionWidth: count,
  defaultSteps: count,
  defaultGuidance: finite.nonnegative(),
  numTrainTimesteps: count,
  /** Bends the sigmas: s' = shift * s / (1 + (shift - 1) * s); 1 leaves them linear. */
  shift: finite.positive(),
  /** What the network predicts: the clean picture, the noise, or the velocity (noise - picture). */
  predictionType: z.enum(['sample', 'epsilon', 'velocity']),
});

/** Defaults for a request that does not say. */
const generationSection = z.strictObject({
  maxNewTokens: count,
  doSample: z.boolean(),
  temperature: finite.nonnegative(),
  topP: finite.min(0).max(1),
  /** 0: no limit. */
  topK: z.number().int().nonnegative(),
  /** Makes tokens that stand in prompt or answer less likely; 1: none. */
  repetitionPenalty: finite.positive(),
  padTokenId: tokenId.optional(),
});

export const stageNames = ['encoder', 'connector', 'llm', 'generator'] as const;
export type StageName = (typeof stageNames)[number];

/** What bundle.json holds: all that a service must know of a compiled model besides the weights. */
export const bundleManifest = z
  .strictObject({
    formatVersion: z.literal(bundleFormatVersion, {
      error: `is not ${bundleFormatVersion}: the bundle is of another release; compile the checkpoint again`,
    }),
    name: z.string().min(1).max(128),
    /** First 12 hex digits of the content digest: names the model in NATS subjects and in Describe. */
    revision: z.string().regex(/^[0-9a-f]{12}$/),
    weights: z.enum(weightKinds),
    /** Parameters of each stage as the checkpoint publishes them; 0 where the model lacks the stage. */
    parameters: z.record(z.enum(stageNames), z.number().int().nonnegative()),
    /** Every other file that is served from. */
    files: z.record(
      fileName,
      z.strictObject({ bytes: z.number().int().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
    ),
    encoder: encoderSection.optional(),
    connector: connectorSection.optional(),
    llm: llmSection,
    generator: generatorSection.optional(),
    /** Present where an encoder is. */
    preprocessing: preprocessingSchema.optional(),
    generation: generationSection,
  })
  .superRefine((manifest, context) => {
    const problem = (path: string[], message: string): void =>
      context.addIssue({ code: 'custom', path, message, input: manifest });
    for (const stage of stageNames) {
      const section = manifest[stage];
      if (section !== undefined && !Object.hasOwn(manifest.files, section.graph)) {
        problem([stage, 'graph'], `${section.graph} is not among the files`);
      }
    }
    const { encoder, connector, llm, generator, preprocessing } = manifest;
    const absent = graphsOfCuts(llm).find((name) => !Object.hasOwn(manifest.files, name));
    if (absent !== undefined) problem(['llm'], `${absent} is not among the files`);
    if (llm.layerPieces !== undefined) {
      let next = 0;
      const follow = llm.layerPieces.pieces.every(({ firstLayer, layers }) => {
        const follows = firstLayer === next;
        next += layers;
        return follows;
      });
      if (!follow || next !== llm.layers) problem(['llm', 'layerPieces', 'pieces'], `are not all ${llm.layers} layers`);
    }
    if (llm.experts !== undefined) {
      const { perLayer, chosen, sections, layers } = llm.experts;
      if (chosen > perLayer || layers.some(({ experts }) => experts.length !== perLayer)) {
        problem(['llm', 'experts', 'layers'], `are not ${perLayer} experts each, ${chosen} of them chosen`);
      }
      const ascending = layers.every(({ layer }, at) => layer < llm.layers && layer > (layers[at - 1]?.layer ?? -1));
      if (!ascending || sections.length !== layers.length + 1) {
        problem(['llm', 'experts', 'sections'], 'do not fit the layers');
      }
    }
    if (
      (encoder === undefined) !== (connector === undefined) ||
      (encoder === undefined) !== (preprocessing === undefined)
    ) {
      problem(['encoder'], 'encoder, connector and preprocessing come together or not at all');
    }
    if (encoder && connector && (encoder.patches !== connector.patches || encoder.width !== connector.width)) {
      problem(['connector'], 'the connector does not take what the encoder gives');
    }
    if (connector && connector.llmWidth !== llm.hiddenSize)
      problem(['connector', 'llmWidth'], 'is not the LLM hidden size');
    // The condition is hidden states of the LLM.
    if (generator && generator.conditionWidth !== llm.hiddenSize)
      problem(['generator', 'conditionWidth'], 'is not the LLM hidden size');
    if (generator && !Object.hasOwn(manifest.files, generator.nullCondition)) {
      problem(['generator', 'nullCondition'], `${generator.nullCondition} is not among the files`);
    }
  });

export type BundleManifest = z.infer<typeof bundleManifest>;
export type EncoderSection = z.infer<typeof encoderSection>;
export type ConnectorSection = z.infer<typeof connectorSection>;
export type ExpertCut = z.infer<typeof expertCut>;
export type LayerCut = z.infer<typeof layerCut>;
export type LlmSection = z.infer<typeof llmSection>;
export type GeneratorSection = z.infer<typeof generatorSection>;
export type GenerationSection = z.infer<typeof generationSection>;
