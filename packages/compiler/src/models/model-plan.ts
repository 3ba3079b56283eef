import type { StageName } from '@tessera/bundle';
import { Module, type ParameterSource } from '../checkpoint/parameters.js';
import { type Connector, connectorGraph } from '../connector/connector.js';
import { type Generator, generatorGraph } from '../generator/generator.js';
import type { GraphBuilder, WeightPrecision } from '../graph/index.js';
import { causalLmGraph, type LanguageModel } from '../llm/causal-lm.js';
import { encoderGraph, type VisionEncoder } from '../vision/encoder.js';

/** A stage's family, and the name that its tensors lie under in the checkpoint ('' for none). */
export interface Placed<Family> {
  readonly family: Family;
  readonly prefix: string;
}

export interface StageFamilies {
  readonly encoder?: Placed<VisionEncoder>;
  readonly connector?: Placed<Connector>;
  readonly llm: Placed<LanguageModel>;
  readonly generator?: Placed<Generator>;
}

/** What a config.json says a model is. */
export interface ModelPlan {
  readonly modelType: string;
  /** For each stage that the model has: asks the source for every parameter of it. */
  readonly declare: Readonly<Partial<Record<StageName, (source: ParameterSource) => void>>>;
  /** Absent where a family's parameters are known and its graph is not. */
  readonly families?: StageFamilies;
  /** Ids of special tokens that the config names; others are found in tokenizer.json. */
  readonly tokens: Readonly<Record<string, number | undefined>>;
  readonly eosTokenIds: readonly number[];
}

export function modulePlaced(source: ParameterSource, { prefix }: Placed<unknown>): Module {
  const root = new Module(source);
  return prefix === '' ? root : root.at(prefix);
}

type Build = (source: ParameterSource, precision: WeightPrecision) => GraphBuilder;

/** The stages' graphs, each still to be built. */
export function stageGraphs(families: StageFamilies): Partial<Record<StageName, Build>> & { llm: Build } {
  const { encoder, connector, llm, generator } = families;
  return {
    ...(encoder && {
      encoder: (source, precision) => encoderGraph(encoder.family, modulePlaced(source, encoder), precision),
    }),
    ...(connector && {
      connector: (source, precision) => connectorGraph(connector.family, modulePlaced(source, connector), precision),
    }),
    llm: (source, precision) => causalLmGraph(llm.family, modulePlaced(source, llm), precision),
    ...(generator && {
      generator: (source, precision) => generatorGraph(generator.family, modulePlaced(source, generator), precision),
    }),
  };
}

/** Declares the parameters of each stage by building its graph over a source that only listens. */
export function declareByGraphs(families: StageFamilies): ModelPlan['declare'] {
  const declare: Partial<Record<StageName, (source: ParameterSource) => void>> = {};
  for (const [stage, build] of Object.entries(stageGraphs(families)) as [StageName, Build][]) {
    declare[stage] = (source) => {
      build(source, 'float32');
      if (stage === 'generator' && families.generator) {
        families.generator.family.nullCondition(modulePlaced(source, families.generator));
      }
    };
  }
  return declare;
}
