import { TesseraError } from '@tessera/protocol';
import type { ModelId } from './model-id.js';

/** GGUF types, the one that is taken first where none is named; 8 bits lose nearly nothing and are held as they are. */
const order = ['Q8_0', 'Q4_K_M', 'Q4_0', 'Q5_K_M', 'Q6_K', 'Q4_K_S', 'Q5_0', 'Q5_1', 'Q4_1', 'F16', 'BF16', 'F32'];

export interface ChosenGguf {
  /** One, or those of a model in several files, in their order: the first stands for it. */
  readonly files: readonly string[];
  /** The first files of the repository's other models. */
  readonly others: readonly string[];
}

/**
 * The GGUF model that an id names by file or type, else the one that there is, else the one that comes first in the order.
 * @throws TesseraError HUB_NOT_FOUND where there is none such; REQUEST_INVALID where one must be named
 */
export function chooseGguf(id: ModelId, paths: readonly string[]): ChosenGguf {
  const models = ggufModels(paths);
  const files = id.file === undefined ? preferred(id, models) : named(id, id.file, models);
  return { files, others: models.filter((model) => model !== files).map(nameOf) };
}

/**
 * The files of each model: no projectors of pictures, no tables of a quantisation's importance, and no model in several files
 * that lacks one of them.
 */
export function ggufModels(paths: readonly string[]): string[][] {
  const models = new Map<string, string[]>();
  for (const path of paths.filter((each) => /\.gguf$/i.test(each) && !/mmproj|imatrix/i.test(each)).toSorted()) {
    const [, stem = path, , count = '1'] = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i.exec(path) ?? [];
    const key = `${stem} ${count}`;
    models.set(key, [...(models.get(key) ?? []), path]);
  }
  return [...models].flatMap(([key, files]) => (files.length === Number(/ (\d+)$/.exec(key)?.[1]) ? [files] : []));
}

function named(id: ModelId, file: string, models: readonly string[][]): string[] {
  const isFile = /\.gguf$/i.test(file);
  const found = models.filter((files) => (isFile ? files.includes(file) : isOfType(nameOf(files), file)));
  const [only] = found;
  if (found.length === 1 && only !== undefined) return only;
  const what = isFile ? `file ${file}` : `GGUF file of type ${file}`;
  const problem = found.length === 0 ? `no ${what}` : `${found.length} models with a ${what}; name one`;
  throw new TesseraError('HUB_NOT_FOUND', `${id.repository}@${id.revision} has ${problem}${offered(models)}`);
}

function preferred(id: ModelId, models: readonly string[][]): string[] {
  const [only] = models;
  if (models.length === 1 && only !== undefined) return only;
  for (const type of order) {
    const [first, ...more] = models.filter((files) => isOfType(nameOf(files), type));
    if (first !== undefined && more.length === 0) return first;
  }
  const problem = `${id.repository} has ${models.length} GGUF models; name one behind a colon${offered(models)}`;
  throw new TesseraError('REQUEST_INVALID', problem);
}

const nameOf = (files: readonly string[]): string => files[0] as string;

const isOfType = (path: string, type: string): boolean =>
  new RegExp(`(^|[-._])${type.replaceAll(/[^A-Za-z0-9_]/g, '.')}[-.]`, 'i').test(path.replace(/^.*\//, ''));

function offered(models: readonly string[][]): string {
  if (models.length === 0) return '';
  return `: it has ${models.slice(0, 12).map(nameOf).join(', ')}${models.length > 12 ? ', …' : ''}`;
}
