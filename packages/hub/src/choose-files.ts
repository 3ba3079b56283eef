import { TesseraError } from '@tessera/protocol';
import { type ChosenGguf, chooseGguf, ggufModels } from './choose-gguf.js';
import type { Listing } from './listing.js';
import type { ModelId } from './model-id.js';

/** Not asked for beside tokenizer.json, which says the same and more. */
const tokenizerModel = 'tokenizer.model';
const indexFile = 'model.safetensors.index.json';
const wholeFile = 'model.safetensors';

/** Pickles run code when they are read; the others are other frameworks' own. */
const foreignWeights = /\.(bin|pt|pth|ckpt|pkl|h5|msgpack|onnx|npz|tflite|nemo)$/i;

/** What an entry of `wanted` such as FOLDER/*.END says; undefined for one that is a file's name. */
function wantedFolder(entry: string): { readonly folder: string; readonly end: string } | undefined {
  const [, folder, end] = /^(.+)\/\*(\.\w+)$/.exec(entry) ?? [];
  return folder === undefined || end === undefined ? undefined : { folder, end };
}

/**
 * The files among which those of a model are chosen, by path: of the root, or of the folder of the file that is named, and
 * those that are wanted of other folders.
 * @param list what is in a folder; undefined where that is not known, and then nothing is
 */
export async function filesInQuestion<F extends { readonly path: string }>(
  id: ModelId,
  wanted: readonly string[],
  list: (folder: string) => Promise<Listing<F> | undefined>,
): Promise<ReadonlyMap<string, F> | undefined> {
  const folder = id.file?.includes('/') ? id.file.slice(0, id.file.lastIndexOf('/')) : '';
  const root = await list(folder);
  if (root === undefined) return undefined;
  const files = [...root.files];
  for (const entry of id.file === undefined ? wanted : []) {
    const other = wantedFolder(entry);
    if (other === undefined || !root.folders.includes(other.folder)) continue;
    const below = await list(other.folder);
    if (below === undefined) return undefined;
    files.push(...below.files.filter(({ path }) => path.endsWith(other.end)));
  }
  return new Map(files.map((file) => [file.path, file]));
}

export type ChosenFiles =
  | {
      readonly kind: 'safetensors';
      readonly small: readonly string[];
      /** The index, which names the files of weights; else they are said. */
      readonly index?: string;
      readonly weights: readonly string[];
    }
  | ({ readonly kind: 'gguf' } & ChosenGguf);

/**
 * What is needed of the files in a repository's root, or in the folder of the file that is named.
 * @param wanted small files that are taken where they are there, as PullOptions has them
 * @throws TesseraError CHECKPOINT_INVALID where nothing can be read of them; HUB_NOT_FOUND where the named file is none of them
 */
export function chooseFiles(id: ModelId, paths: readonly string[], wanted: readonly string[]): ChosenFiles {
  if (id.file !== undefined) return { kind: 'gguf', ...chooseGguf(id, paths) };
  const has = new Set(paths);
  const safetensors = paths.filter((path) => path.endsWith('.safetensors'));
  if (safetensors.length > 0) {
    if (!has.has('config.json')) throw lacks(id, 'config.json, without which its weights say nothing');
    const isSaidElsewhere = (name: string): boolean => name === tokenizerModel && has.has('tokenizer.json');
    const named = wanted.flatMap((entry) => {
      const other = wantedFolder(entry);
      if (other === undefined) return has.has(entry) ? [entry] : [];
      return paths.filter((path) => path.startsWith(`${other.folder}/`) && path.endsWith(other.end));
    });
    const small = named.filter((name) => name !== indexFile && !isSaidElsewhere(name));
    if (has.has(indexFile)) return { kind: 'safetensors', small, index: indexFile, weights: [] };
    return { kind: 'safetensors', small, weights: has.has(wholeFile) ? [wholeFile] : safetensors };
  }
  if (ggufModels(paths).length > 0) return { kind: 'gguf', ...chooseGguf(id, paths) };
  const foreign = paths.filter((path) => foreignWeights.test(path));
  if (foreign.length > 0) {
    const pickles = foreign.every((path) => /\.(bin|pt|pth|ckpt|pkl)$/i.test(path));
    const why = pickles ? 'pickle files only, which run code when they are read' : 'no file that is read here';
    throw lacks(id, `safetensors or GGUF: it has its weights in ${why} (${foreign.slice(0, 3).join(', ')})`);
  }
  throw lacks(id, 'weights: no .safetensors and no .gguf file is in it');
}

/**
 * The files of weights that an index names.
 * @throws TesseraError CHECKPOINT_INVALID on an index that is none, or that names a file which is not there
 */
export function filesOfIndex(id: ModelId, text: string, paths: readonly string[]): string[] {
  let map: unknown;
  try {
    map = (JSON.parse(text) as { weight_map?: unknown } | null)?.weight_map;
  } catch (cause) {
    throw new TesseraError('CHECKPOINT_INVALID', `${id.repository}: ${indexFile}: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (typeof map !== 'object' || map === null) throw lacks(id, `a weight_map in its ${indexFile}`);
  const names = [...new Set(Object.values(map))].sort() as string[];
  const missing = names.find((name) => !paths.includes(name) || !name.endsWith('.safetensors'));
  if (missing !== undefined || names.length === 0) {
    throw lacks(id, `${JSON.stringify(missing ?? 'any file')}, which its ${indexFile} names`);
  }
  return names;
}

function lacks(id: ModelId, what: string): TesseraError {
  return new TesseraError('CHECKPOINT_INVALID', `${id.repository}@${id.revision} has no ${what}`);
}
