import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import {
  type BundleManifest,
  bundleFormatVersion,
  bundleManifest,
  type KvCacheType,
  manifestFileName,
  type StageName,
} from '@tessera/bundle';
import { TesseraError } from '@tessera/protocol';
import { type BundleGraph, bytesOnDisk } from './bundle-graphs.js';
import { planBundle } from './bundle-plan.js';
import type { ParameterSource } from './checkpoint/parameters.js';
import { contentDigest, fileDigest } from './content-digest.js';
import { countParameters } from './count-parameters.js';
import type { Cut } from './cut.js';
import { requireFreeSpace } from './free-space.js';
import { WeightFile, weightBytes, writeGraph } from './graph/write-graph.js';
import { checkpointDigests, writeIds } from './made-from.js';
import { nullConditionFile } from './manifest-sections.js';
import { modelName } from './model-name.js';
import { modulePlaced, type StagePieces } from './models/model-plan.js';
import { decideWeights, openModel, type WantedWeights } from './open-model.js';
import { removeAbandoned, temporarySibling } from './temporary-sibling.js';
import { writeTokenizer } from './tokenizer-files.js';

export interface CompileProgress {
  readonly stage: StageName;
  /** Bytes of weights written so far, and in all, over every stage. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface CompileOptions {
  readonly weights: WantedWeights;
  /** Also writes the LLM cut in pieces; without it the model can only be computed whole. */
  readonly cut?: Cut;
  /** How the LLM's keys and values are held from step to step; by default float32. */
  readonly kvCache?: KvCacheType;
  readonly onProgress?: (progress: CompileProgress) => void;
  readonly signal?: AbortSignal;
  /** What the model is called; by default as its folder is, or its file. */
  readonly name?: string;
  /** The checkpoint's content digest, where the caller has it already. */
  readonly digest?: string;
  /** What the model is called on a hub, ORG/NAME@REVISION, for `requireMadeFromId`. */
  readonly ids?: readonly string[];
  /** Whether the digests of the checkpoint's files are kept in the bundle's folder, so that `requireMadeFrom` reads none again. */
  readonly remembers?: boolean;
}

/**
 * Compiles a published checkpoint, a folder or a GGUF file, to a bundle in `outDir`, which must not exist yet. The bundle is written beside it and
 * renamed when whole, so `outDir` is complete or absent, whatever happens; what compilations to it left that were killed is removed.
 * @throws TesseraError CHECKPOINT_INVALID naming the file at fault; UNSUPPORTED for a model that can only be inspected, or not be
 *   cut so
 */
export async function compileCheckpoint(
  checkpoint: string,
  outDir: string,
  options: CompileOptions,
): Promise<BundleManifest> {
  const target = resolve(outDir);
  if (await stat(target).catch(() => undefined)) {
    throw new TesseraError('REQUEST_INVALID', `${target} exists already; name a folder that does not`);
  }
  await mkdir(dirname(target), { recursive: true });
  await removeAbandoned(dirname(target), basename(target));
  const work = temporarySibling(target);
  await mkdir(work);
  try {
    const manifest = await writeBundle(resolve(checkpoint), work, options);
    await rename(work, target);
    return manifest;
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    throw error;
  }
}

async function writeBundle(path: string, work: string, options: CompileOptions): Promise<BundleManifest> {
  const { cut, kvCache, signal } = options;
  const form = { weights: await decideWeights(path, options.weights), cut, kvCache };
  const model = await openModel(path);
  try {
    const { plan, stages, tokenizer, sections, graphs } = await planBundle(model, form);
    // Before anything is read to its end: nobody waits for a digest to hear that the disk is full.
    await requireFreeSpace(work, bytesOnDisk(graphs));
    const memo = options.remembers ? await checkpointDigests(work) : undefined;
    const digestOf = (file: string): Promise<string> => memo?.digest(file, signal) ?? fileDigest(file, signal);
    const digest = options.digest ?? (await contentDigest(path, form, digestOf));
    await writeGraphs(graphs, work, options);
    await writeNullCondition(model, stages, work, signal);
    await writeTokenizer(work, tokenizer);
    const manifest = bundleManifest.parse({
      formatVersion: bundleFormatVersion,
      name: options.name ?? modelName(path),
      revision: digest.slice(0, 12),
      weights: form.weights,
      parameters: countParameters(plan),
      files: await describeFiles(work, signal),
      ...sections,
    });
    await memo?.save();
    if (options.ids !== undefined) await writeIds(work, options.ids, options.weights);
    await writeFile(join(work, manifestFileName), `${JSON.stringify(manifest, null, 2)}\n`);
    return manifest;
  } finally {
    await model.close();
  }
}

async function writeGraphs(
  graphs: readonly BundleGraph[],
  work: string,
  { onProgress, signal }: CompileOptions,
): Promise<void> {
  const totalBytes = graphs.reduce((sum, { graph }) => sum + weightBytes(graph), 0);
  let doneBytes = 0;
  const files = new Map<string, WeightFile>();
  const apart = graphs.filter((piece) => piece.apart);
  try {
    for (const { stage, file, weightsFile, graph, apart: isApart } of graphs) {
      const onWritten = (bytes: number): void => {
        doneBytes += bytes;
        onProgress?.({ stage, doneBytes, totalBytes });
      };
      const others = stage === 'llm' && !isApart ? apart.flatMap((piece) => files.get(piece.weightsFile) ?? []) : [];
      const into = files.get(weightsFile) ?? (await WeightFile.create(join(work, weightsFile), others));
      files.set(weightsFile, into);
      await writeGraph(graph, join(work, file), { signal, onWritten, weights: into });
    }
  } finally {
    for (const file of files.values()) await file[Symbol.asyncDispose]();
  }
}

async function writeNullCondition(
  checkpoint: ParameterSource,
  { generator }: StagePieces,
  work: string,
  signal?: AbortSignal,
): Promise<void> {
  if (generator === undefined) return;
  const values = await generator.pieces.nullCondition(modulePlaced(checkpoint, generator)).read(signal);
  await writeFile(join(work, nullConditionFile), values);
}

async function describeFiles(dir: string, signal?: AbortSignal): Promise<BundleManifest['files']> {
  const files: BundleManifest['files'] = {};
  for (const name of (await readdir(dir)).sort()) {
    const path = join(dir, name);
    files[name] = { bytes: (await stat(path)).size, sha256: await fileDigest(path, signal) };
  }
  return files;
}
