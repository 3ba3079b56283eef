import type { LlmSection, StageName } from '@tessera/bundle';
import type { ParameterSource } from './checkpoint/parameters.js';
import { expertPieces } from './expert-pieces.js';
import type { GraphBuilder, WeightPrecision } from './graph/index.js';
import { layerPieces } from './layer-cut.js';
import { graphFile } from './manifest-sections.js';
import { type StagePieces, stageGraphs } from './models/model-plan.js';

/** A graph, and the files that it and its weights go to. */
export interface BundleGraph {
  readonly stage: StageName;
  readonly file: string;
  readonly weightsFile: string;
  readonly graph: GraphBuilder;
  /** Whether it is a piece whose weights lie apart, where the whole graph finds them. */
  readonly apart: boolean;
}

/** Every graph of a bundle, in the order in which they are written. */
export function buildGraphs(
  checkpoint: ParameterSource,
  stages: StagePieces,
  llm: Pick<LlmSection, 'experts' | 'layerPieces'>,
  weights: WeightPrecision,
): BundleGraph[] {
  const llmWeights = `${graphFile.llm}.data`;
  const builds = Object.entries(stageGraphs(stages)) as [StageName, ReturnType<typeof stageGraphs>['llm']][];
  const whole = builds.map(([stage, build]) => {
    const file = graphFile[stage];
    return { stage, file, weightsFile: `${file}.data`, graph: build(checkpoint, weights), apart: false };
  });
  const ofLlm = { stage: 'llm', weightsFile: llmWeights, apart: false } as const;
  const layers = llm.layerPieces === undefined ? [] : layerPieces(llm.layerPieces, stages.llm, checkpoint, weights);
  const experts = llm.experts === undefined ? [] : expertPieces(stages.llm, checkpoint, weights);
  // Pieces of layers come first: the whole graph finds their weights where they are, and has none of its own.
  return [
    ...layers.map((piece) => ({ ...ofLlm, ...piece, apart: true })),
    ...whole,
    ...experts.map((piece) => ({ ...ofLlm, ...piece })),
  ];
}

/** Bytes of all weights files: a group of tensors is once in a file, and not in the whole graph's where it lies apart. */
export function bytesOnDisk(graphs: readonly BundleGraph[]): number {
  const files = new Map<string, Map<string, number>>();
  const apart = new Set<string>();
  for (const piece of graphs) {
    const groups = files.get(piece.weightsFile) ?? new Map<string, number>();
    files.set(piece.weightsFile, groups);
    for (const { tensors } of piece.graph.weights) {
      const names = tensors.map(({ value }) => value.name).join();
      if (piece.apart) apart.add(names);
      else if (piece.stage === 'llm' && apart.has(names)) continue;
      groups.set(
        names,
        tensors.reduce((sum, { bytes }) => sum + bytes, 0),
      );
    }
  }
  return [...files.values()].flatMap((groups) => [...groups.values()]).reduce((sum, bytes) => sum + bytes, 0);
}
