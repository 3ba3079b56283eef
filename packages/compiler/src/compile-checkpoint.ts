import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import {
  type BundleManifest,
  bundleFormatVersion,
  bundleManifest,
  type LlmSection,
  manifestFileName,
  type StageName,
} from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { Checkpoint, readJson } from './checkpoint/checkpoint.js';
import { contentDigest, fileDigest } from './content-digest.js';
import { countParameters } from './count-parameters.js';
import type { Cut } from './cut.js';
import { expertPieces } from './expert-pieces.js';
import type { WeightPrecision } from './graph/index.js';
import { WeightFile, weightBytes, writeGraph } from './graph/write-graph.js';
import { layerPieces } from './layer-cut.js';
import { graphFile, manifestSections, nullConditionFile } from './manifest-sections.js';
import { modulePlaced, type StagePieces, stageGraphs } from './models/model-plan.js';
import { planModel } from './models/plan-model.js';
import { temporarySibling } from './temporary-sibling.js';
import { readTokenizer, writeTokenizer } from './tokenizer-files.js';

export interface CompileProgress {
  readonly stage: StageName;
  /** Bytes of weights written so far, and in all, over every stage. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface CompileOptions {
  readonly weights: WeightPrecision;
  /** Also writes the LLM cut in pieces; without it the model can only be computed whole. */
  readonly cut?: Cut;
  readonly onProgress?: (progress: CompileProgress) => void;
  readonly signal?: AbortSignal;
  /** The checkpoint's content digest, where the caller has it already. */
  readonly digest?: string;
}

/**
 * Compiles a published checkpoint to a bundle in `outDir`, which must not exist yet. The bundle is written beside it and
 * renamed when whole, so `outDir` is complete or absent, whatever happens.
 * @throws TesseraError CHECKPOINT_INVALID naming the file at fault; UNSUPPORTED for a model that can only be inspected, or not be
 *   cut so
 */
export async function compileCheckpoint(
  checkpointDir: string,
  outDir: string,
  options: CompileOptions,
): Promise<BundleManifest> {
  const target = resolve(outDir);
  if (await stat(target).catch(() => undefined)) {
    throw new TesseraError('REQUEST_INVALID', `${target} exists already; name a folder that does not`);
  }
  await mkdir(dirname(target), { recursive: true });
  const work = temporarySibling(target);
  await mkdir(work);
  try {
    const manifest = await writeBundle(resolve(checkpointDir), work, options);
    await rename(work, target);
    return manifest;
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    throw error;
  }
}

async function writeBundle(dir: string, work: string, options: CompileOptions): Promise<BundleManifest> {
  const { weights, cut, signal } = options;
  const config = await readJson(dir, 'config.json');
  if (config === undefined) throw new TesseraError('CHECKPOINT_INVALID', `${join(dir, 'config.json')}: is missing`);
  const plan = planModel(config);
  if (plan.stages === undefined) {
    throw new TesseraError('UNSUPPORTED', `models of type ${plan.modelType} can be inspected, not compiled yet`);
  }
  const tokenizer = await readTokenizer(dir);
  const configs = {
    tokenizer,
    preprocessor: await readJson(dir, 'preprocessor_config.json'),
    generation: await readJson(dir, 'generation_config.json'),
  };
  const sections = manifestSections(plan, plan.stages, configs, options);
  const digest = options.digest ?? (await contentDigest(dir, weights, (path) => fileDigest(path, signal), cut));
  const checkpoint = await Checkpoint.open(dir);
  try {
    await writeStages(checkpoint, plan.stages, sections.llm, work, options);
  } finally {
    await checkpoint.close();
  }
  await writeTokenizer(work, tokenizer);
  const manifest = bundleManifest.parse({
    formatVersion: bundleFormatVersion,
    name: basename(dir),
    revision: digest.slice(0, 12),
    weights,
    parameters: countParameters(plan),
    files: await describeFiles(work, signal),
    ...sections,
  });
  await writeFile(join(work, manifestFileName), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

async function writeStages(
  checkpoint: Checkpoint,
  stages: StagePieces,
  llm: LlmSection,
  work: string,
  { weights, onProgress, signal }: CompileOptions,
): Promise<void> {
  const llmWeights = `${graphFile.llm}.data`;
  const builds = Object.entries(stageGraphs(stages)) as [StageName, ReturnType<typeof stageGraphs>['llm']][];
  const whole = builds.map(([stage, build]) => {
    const file = graphFile[stage];
    return { stage, file, weightsFile: `${file}.data`, graph: build(checkpoint, weights) };
  });
  const ofLlm = <Piece>(piece: Piece) => ({ stage: 'llm' as const, weightsFile: llmWeights, ...piece });
  const layers =
    llm.layerPieces === undefined ? [] : layerPieces(llm.layerPieces, stages.llm, checkpoint, weights).map(ofLlm);
  const experts = llm.experts === undefined ? [] : expertPieces(stages.llm, checkpoint, weights).map(ofLlm);
  // Pieces of layers come first: the whole graph finds their weights where they are, and has none of its own.
  const graphs = [...layers, ...whole, ...experts];
  const totalBytes = graphs.reduce((sum, { graph }) => sum + weightBytes(graph), 0);
  let doneBytes = 0;
  const files = new Map<string, WeightFile>();
  try {
    for (const { stage, file, weightsFile, graph } of graphs) {
      const onWritten = (bytes: number): void => {
        doneBytes += bytes;
        onProgress?.({ stage, doneBytes, totalBytes });
      };
      const others = weightsFile === llmWeights ? layers.flatMap((piece) => files.get(piece.weightsFile) ?? []) : [];
      const into = files.get(weightsFile) ?? (await WeightFile.create(join(work, weightsFile), others));
      files.set(weightsFile, into);
      await writeGraph(graph, join(work, file), { signal, onWritten, weights: into });
    }
  } finally {
    for (const file of files.values()) await file[Symbol.asyncDispose]();
  }
  if (stages.generator) {
    const { pieces } = stages.generator;
    const values = await pieces.nullCondition(modulePlaced(checkpoint, stages.generator)).read(signal);
    await writeFile(join(work, nullConditionFile), values);
  }
}

async function describeFiles(dir: string, signal?: AbortSignal): Promise<BundleManifest['files']> {
  const files: BundleManifest['files'] = {};
  for (const name of (await readdir(dir)).sort()) {
    const path = join(dir, name);
    files[name] = { bytes: (await stat(path)).size, sha256: await fileDigest(path, signal) };
  }
  return files;
}
