import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import {
  type BundleManifest,
  bundleManifest,
  graphsOfCuts,
  type LayerCut,
  manifestFileName,
  type StageName,
  tokenizerFiles,
} from './manifest.js';

/** A manifest is a few kilobytes; anything near this is not one. */
const maxManifestBytes = 4 * 1024 * 1024;

/** A compiled model on disk: the manifest, and where its files are. */
export class Bundle {
  constructor(
    /** Absolute. */
    readonly dir: string,
    readonly manifest: BundleManifest,
  ) {}

  /**
   * The absolute path of one of the bundle's files, e.g. `bundle.file('tokenizer.json')`.
   * @throws TesseraError CHECKPOINT_INVALID when the manifest does not list it
   */
  file(name: string): string {
    if (!Object.hasOwn(this.manifest.files, name)) {
      throw new TesseraError('CHECKPOINT_INVALID', `the bundle in ${this.dir} has no file ${name}`);
    }
    return join(this.dir, name);
  }

  /**
   * What the manifest says of a stage.
   * @throws TesseraError UNSUPPORTED when the model has no such stage
   */
  stage<S extends StageName>(name: S): NonNullable<BundleManifest[S]> {
    const section = this.manifest[name];
    if (section === undefined) {
      throw new TesseraError('UNSUPPORTED', `the model ${this.manifest.name} has no ${name}`);
    }
    return section as NonNullable<BundleManifest[S]>;
  }

  /** The files that a stage reads: its graph with what lies beside it, the LLM's tokenizer and pieces, the generator's null condition. */
  filesOf(stage: StageName): string[] {
    const section = this.manifest[stage];
    if (section === undefined) return [];
    const pieces = stage === 'llm' ? graphsOfCuts(this.manifest.llm) : [];
    const besides: readonly string[] =
      stage === 'llm' ? tokenizerFiles : 'nullCondition' in section ? [section.nullCondition] : [];
    return this.#withFilesOf([section.graph, ...pieces], besides);
  }

  /**
   * The files that a process needs which has one piece of a model that was cut by layers; that of the first piece has the
   * head too, and builds prompts.
   * @throws TesseraError CONFIG_INVALID when there is no such piece
   */
  filesOfLayers(piece: number): string[] {
    const { head, pieces } = this.layerPieces;
    const found = pieces[piece];
    if (found === undefined) {
      const message = `the model in ${this.dir} is cut into pieces 0 to ${pieces.length - 1}; there is no piece ${piece}`;
      throw new TesseraError('CONFIG_INVALID', message);
    }
    return piece === 0 ? this.#withFilesOf([found.graph, head], tokenizerFiles) : this.#withFilesOf([found.graph], []);
  }

  /**
   * What the manifest says of the pieces of layers.
   * @throws TesseraError CONFIG_INVALID where it was not compiled so
   */
  get layerPieces(): LayerCut {
    const { layerPieces } = this.manifest.llm;
    if (layerPieces !== undefined) return layerPieces;
    const message = `the bundle in ${this.dir} is not cut by layers; compile it with --cut layers=N`;
    throw new TesseraError('CONFIG_INVALID', message);
  }

  /** Bytes of some files. */
  bytesOf(files: readonly string[]): number {
    return files.reduce((sum, name) => sum + (this.manifest.files[name]?.bytes ?? 0), 0);
  }

  /**
   * Checks that files are there with their sizes.
   * @throws TesseraError CHECKPOINT_INVALID naming the file that is missing or wrong
   */
  async require(files: readonly string[]): Promise<void> {
    await Promise.all(
      files.map(async (name) => {
        const path = this.file(name);
        const expected = this.manifest.files[name]?.bytes;
        const found = await stat(path).catch((cause: unknown) => {
          throw new TesseraError('CHECKPOINT_INVALID', `${path}: is missing`, { cause });
        });
        if (!found.isFile() || found.size !== expected) {
          throw new TesseraError('CHECKPOINT_INVALID', `${path}: has ${found.size} bytes, not ${expected}`);
        }
      }),
    );
  }

  #withFilesOf(graphs: readonly string[], besides: readonly string[]): string[] {
    return Object.keys(this.manifest.files).filter(
      (name) => besides.includes(name) || graphs.some((graph) => name === graph || name.startsWith(`${graph}.`)),
    );
  }

  /**
   * Reads every file and compares its digest with the manifest's.
   * @throws TesseraError CHECKPOINT_INVALID naming the first file that differs
   */
  async verify(): Promise<void> {
    for (const [name, expected] of Object.entries(this.manifest.files)) {
      const hash = createHash('sha256');
      await pipeline(createReadStream(this.file(name)), hash);
      if (hash.digest('hex') !== expected.sha256) {
        throw new TesseraError('CHECKPOINT_INVALID', `${this.file(name)}: its contents are not what was compiled`);
      }
    }
  }
}

async function readManifest(path: string): Promise<BundleManifest> {
  const invalid = (why: string, cause?: unknown): TesseraError =>
    new TesseraError('CHECKPOINT_INVALID', `${path}: ${why}`, { cause });
  let value: unknown;
  try {
    if ((await stat(path)).size > maxManifestBytes) throw invalid(`is larger than ${maxManifestBytes} bytes`);
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (error instanceof TesseraError) throw error;
    if (error instanceof SyntaxError) throw invalid('is not JSON', error);
    throw invalid('cannot be read; compile the checkpoint first', error);
  }
  const result = bundleManifest.safeParse(value);
  if (!result.success) throw invalid(z.prettifyError(result.error).replaceAll('\n', ' '), result.error);
  return result.data;
}

/**
 * Opens a compiled model. Checks the manifest, and that each file is there with its size; `verify` checks contents.
 * @param stages those whose files are needed: the others may be absent, so that a service carries its own stage's only.
 *   Every file is needed where this is not given.
 * @throws TesseraError CHECKPOINT_INVALID naming the file that is missing or wrong
 */
export async function readBundle(dir: string, stages?: readonly StageName[]): Promise<Bundle> {
  const root = resolve(dir);
  const bundle = new Bundle(root, await readManifest(join(root, manifestFileName)));
  const needed = stages?.flatMap((stage) => bundle.filesOf(stage)) ?? Object.keys(bundle.manifest.files);
  await bundle.require(needed);
  return bundle;
}
