import type { KvCacheType, StageName } from '@tessera/bundle';
import { Module, type ParameterSource } from '../checkpoint/parameters.js';
import { eightBitsAtLeast, type GraphBuilder, type WeightPrecision } from '../graph/index.js';
import { type CausalLm, causalLmGraph } from '../stages/causal-lm.js';
import { type Connector, connectorGraph } from '../stages/connector.js';
import { type Generator, generatorGraph } from '../stages/generator.js';
import { encoderGraph, type VisionEncoder } from '../stages/vision-encoder.js';

/** A stage's pieces, and the name that its tensors lie under in the checkpoint ('' for none). */
export interface Placed<Pieces> {
  readonly pieces: Pieces;
  readonly prefix: string;
}

export interface StagePieces {
  readonly encoder?: Placed<VisionEncoder>;
  readonly connector?: Placed<Connector>;
  readonly llm: Placed<CausalLm>;
  readonly generator?: Placed<Generator>;
}

/** What a config.json says a model is. */
export interface ModelPlan {
  readonly modelType: string;
  /** For each stage that the model has: asks the source for every parameter of it. */
  readonly declare: Readonly<Partial<Record<StageName, (source: ParameterSource) => void>>>;
  /** Absent where a family's parameters are known and its graph is not. */
  readonly stages?: StagePieces;
  /** Ids of special tokens that the config names; others are found in tokenizer.json. */
  readonly tokens: Readonly<Record<string, number | undefined>>;
  readonly eosTokenIds: readonly number[];
  /** Names of tensors that may be there and say nothing. */
  readonly unread: readonly string[];
}

export function modulePlaced(source: ParameterSource, { prefix }: Placed<unknown>): Module {
  const root = new Module(source);
  return prefix === '' ? root : root.at(prefix);
}

/** Names of tensors that may be there though the stages do not read them. */
export function unreadTensors({ llm: { pieces, prefix } }: StagePieces): string[] {
  return pieces.unread.map((name) => (prefix === '' ? name : `${prefix}.${name}`));
}

/** The same stages, whose LLM has its cache in another type than float32. */
export function withKvCache(stages: StagePieces, kvCache: KvCacheType | undefined): StagePieces {
  if (kvCache === undefined || kvCache === 'float32') return stages;
  const { pieces, prefix } = stages.llm;
  return { ...stages, llm: { pieces: { ...pieces, section: { ...pieces.section, kvCache } }, prefix } };
}

type Build = (source: ParameterSource, precision: WeightPrecision) => GraphBuilder;

/**
 * The stages' graphs, each still to be built. Stages other than the LLM are small beside it, and rounding shows in them: they
 * never have less than 8 bits.
 */
export function stageGraphs(stages: StagePieces): Partial<Record<StageName, Build>> & { llm: Build } {
  const { encoder, connector, llm, generator } = stages;
  return {
    ...(encoder && {
      encoder: (source, precision) =>
        encoderGraph(encoder.pieces, modulePlaced(source, encoder), eightBitsAtLeast(precision)),
    }),
    ...(connector && {
      connector: (source, precision) =>
        connectorGraph(connector.pieces, modulePlaced(source, connector), eightBitsAtLeast(precision)),
    }),
    llm: (source, precision) => causalLmGraph(llm.pieces, modulePlaced(source, llm), precision),
    ...(generator && {
      generator: (source, precision) =>
        generatorGraph(generator.pieces, modulePlaced(source, generator), eightBitsAtLeast(precision)),
    }),
  };
}

/** Declares the parameters of each stage by building its graph over a source that only listens. */
export function declareByGraphs(stages: StagePieces): ModelPlan['declare'] {
  const declare: Partial<Record<StageName, (source: ParameterSource) => void>> = {};
  for (const [stage, build] of Object.entries(stageGraphs(stages)) as [StageName, Build][]) {
    declare[stage] = (source) => {
      build(source, 'float32');
      if (stage === 'generator' && stages.generator) {
        stages.generator.pieces.nullCondition(modulePlaced(source, stages.generator));
      }
    };
  }
  return declare;
}
