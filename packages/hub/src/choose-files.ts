import { TesseraError } from '@tessera/protocol';
import type { ModelId } from './model-id.js';

/** Not asked for beside tokenizer.json, which says the same and more. */
const tokenizerModel = 'tokenizer.model';
const indexFile = 'model.safetensors.index.json';
const wholeFile = 'model.safetensors';

/** GGUF types, the one that is taken first where none is named; 8 bits lose nearly nothing and are held as they are. */
const ggufOrder = ['Q8_0', 'Q4_K_M', 'Q4_0', 'Q5_K_M', 'Q6_K', 'Q4_K_S', 'Q5_0', 'Q5_1', 'Q4_1', 'F16', 'BF16', 'F32'];
/** Pickles run code when they are read; the others are other frameworks' own. */
const foreignWeights = /\.(bin|pt|pth|ckpt|pkl|h5|msgpack|onnx|npz|tflite|nemo)$/i;

export type ChosenFiles =
  | {
      readonly kind: 'safetensors';
      readonly small: readonly string[];
      /** The index, which names the files of weights; else they are said. */
      readonly index?: string;
      readonly weights: readonly string[];
    }
  | { readonly kind: 'gguf'; readonly file: string; readonly others: readonly string[] };

/**
 * What is needed of the files in a repository's root, or in the folder of the file that is named.
 * @param wanted small files that are taken where they are there
 * @throws TesseraError CHECKPOINT_INVALID where nothing can be read of them; HUB_NOT_FOUND where the named file is none of them
 */
export function chooseFiles(id: ModelId, paths: readonly string[], wanted: readonly string[]): ChosenFiles {
  if (id.file !== undefined) return gguf(named(id, id.file, paths), paths);
  const has = new Set(paths);
  const safetensors = paths.filter((path) => path.endsWith('.safetensors'));
  if (safetensors.length > 0) {
    if (!has.has('config.json')) throw lacks(id, 'config.json, without which its weights say nothing');
    const isSaidElsewhere = (name: string): boolean => name === tokenizerModel && has.has('tokenizer.json');
    const small = wanted.filter((name) => has.has(name) && name !== indexFile && !isSaidElsewhere(name));
    if (has.has(indexFile)) return { kind: 'safetensors', small, index: indexFile, weights: [] };
    return { kind: 'safetensors', small, weights: has.has(wholeFile) ? [wholeFile] : safetensors };
  }
  const models = ggufModels(paths);
  if (models.length > 0) return gguf(preferred(id, models), paths);
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

function gguf(file: string, paths: readonly string[]): ChosenFiles {
  return { kind: 'gguf', file, others: ggufModels(paths).filter((path) => path !== file) };
}

/** Whole models: no projectors of pictures, no tables of a quantisation's importance, no parts of a file that is split. */
function ggufModels(paths: readonly string[]): string[] {
  return paths.filter((path) => /\.gguf$/i.test(path) && !/mmproj|imatrix|-\d{5}-of-\d{5}\.gguf$/i.test(path)).sort();
}

function named(id: ModelId, file: string, paths: readonly string[]): string {
  if (/-\d{5}-of-\d{5}\.gguf$/i.test(file)) {
    throw new TesseraError('UNSUPPORTED', `${file} is a part of a GGUF file that is split; only whole ones are read`);
  }
  if (/\.gguf$/i.test(file)) {
    if (paths.includes(file)) return file;
    throw new TesseraError('HUB_NOT_FOUND', `${id.repository}@${id.revision} has no file ${file}${offered(paths)}`);
  }
  const found = ggufModels(paths).filter((path) => isOfType(path, file));
  if (found.length === 1) return found[0] as string;
  const problem =
    found.length === 0 ? `no GGUF file of type ${file}` : `${found.length} GGUF files of type ${file}; name one`;
  throw new TesseraError('HUB_NOT_FOUND', `${id.repository}@${id.revision} has ${problem}${offered(paths)}`);
}

function preferred(id: ModelId, models: readonly string[]): string {
  if (models.length === 1) return models[0] as string;
  for (const type of ggufOrder) {
    const found = models.filter((path) => isOfType(path, type));
    if (found.length === 1) return found[0] as string;
  }
  throw new TesseraError(
    'REQUEST_INVALID',
    `${id.repository} has ${models.length} GGUF files; name one behind a colon${offered(models)}`,
  );
}

const isOfType = (path: string, type: string): boolean =>
  new RegExp(`(^|[-._])${type.replaceAll(/[^A-Za-z0-9_]/g, '.')}[-.]`, 'i').test(path.replace(/^.*\//, ''));

function offered(paths: readonly string[]): string {
  const models = ggufModels(paths);
  if (models.length === 0) return '';
  return `: it has ${models.slice(0, 12).join(', ')}${models.length > 12 ? ', …' : ''}`;
}

function lacks(id: ModelId, what: string): TesseraError {
  return new TesseraError('CHECKPOINT_INVALID', `${id.repository}@${id.revision} has no ${what}`);
}
