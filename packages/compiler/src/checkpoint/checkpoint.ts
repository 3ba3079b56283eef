import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { TesseraError } from '@tessera/protocol';
import { type Parameter, type ParameterSource, parameterOfRows, rowLength } from './parameters.js';
import type { PublishedTensorInfo } from './published-model.js';
import { type ScaledTile, scaledTileOf } from './quantization.js';
import { readJson } from './read-json.js';
import { SafetensorsFile, type TensorInfo } from './safetensors.js';
import { besideScaled, checkScales, scaleGrid, scaleNames, scaleRows } from './scaled-rows.js';

const indexName = 'model.safetensors.index.json';

/**
 * The files of a checkpoint that hold weights, in order of name: those that its index names, where there is one. Beside them
 * some publish the same weights under other names.
 */
export async function weightFiles(dir: string): Promise<string[]> {
  const names = await readdir(dir).catch((cause: unknown) => {
    throw new TesseraError('CHECKPOINT_INVALID', `${dir}: is not a folder that can be read`, { cause });
  });
  const indexed = names.includes(indexName) ? await filesOfIndex(dir) : [];
  // An index that names others says nothing; whoever opens the checkpoint says what is wrong with it.
  const isSound = indexed.length > 0 && indexed.every((name) => names.includes(name as string));
  return names.filter((name) => name.endsWith('.safetensors') && (!isSound || indexed.includes(name))).sort();
}

/** None where it cannot be read. */
async function filesOfIndex(dir: string): Promise<unknown[]> {
  const index = (await readJson(dir, indexName).catch(() => undefined)) as { weight_map?: unknown } | undefined | null;
  const files = index?.weight_map;
  return typeof files === 'object' && files !== null ? [...new Set(Object.values(files))] : [];
}

const isFloat8 = ({ dtype }: TensorInfo): boolean => dtype === 'F8_E4M3';

/** A published model in Hugging Face layout: config.json and weights in one or many safetensors files. */
export class Checkpoint implements ParameterSource {
  private constructor(
    /** Absolute. */
    readonly dir: string,
    private readonly files: readonly SafetensorsFile[],
    private readonly owners: ReadonlyMap<string, SafetensorsFile>,
    private readonly tile: ScaledTile,
  ) {}

  /**
   * Opens every *.safetensors of the folder, or those that model.safetensors.index.json names, which must say then in which
   * of them each tensor is. None is allowed: a config.json alone can be inspected.
   * @throws TesseraError CHECKPOINT_INVALID naming the file at fault
   */
  static async open(dir: string): Promise<Checkpoint> {
    const root = resolve(dir);
    const files: SafetensorsFile[] = [];
    const owners = new Map<string, SafetensorsFile>();
    try {
      for (const name of await weightFiles(root)) {
        const file = await SafetensorsFile.open(join(root, name));
        files.push(file);
        for (const tensor of file.tensors.keys()) {
          const other = owners.get(tensor);
          if (other) throw new TesseraError('CHECKPOINT_INVALID', `${file.path}: ${tensor} is in ${other.path} too`);
          owners.set(tensor, file);
        }
      }
      if (files.length > 0) await checkIndex(root, owners);
      return new Checkpoint(root, files, owners, scaledTileOf(await readJson(root, 'config.json')));
    } catch (error) {
      await Promise.all(files.map((file) => file.close()));
      throw error;
    }
  }

  get hasWeights(): boolean {
    return this.files.length > 0;
  }

  /** Every tensor of every file, but for what belongs to a float8 tensor. */
  *tensors(): Iterable<PublishedTensorInfo> {
    const all = this.files.flatMap(({ path, tensors }) =>
      [...tensors.values()].map((tensor) => ({ ...tensor, file: path })),
    );
    const beside = new Set(all.filter(isFloat8).flatMap(({ name }) => besideScaled(name)));
    for (const tensor of all) if (!beside.has(tensor.name)) yield tensor;
  }

  parameter(name: string, shape: readonly number[]): Parameter {
    const file = this.owners.get(name);
    const found = file?.tensors.get(name);
    if (file === undefined || found === undefined) {
      throw new TesseraError('CHECKPOINT_INVALID', `${this.dir}: no file has the tensor ${name}`);
    }
    if (found.shape.join() !== shape.join()) {
      const shapes = `of shape [${found.shape.join(', ')}], but config.json asks for [${shape.join(', ')}]`;
      throw new TesseraError('CHECKPOINT_INVALID', `${file.path}: ${name} is ${shapes}`);
    }
    const length = rowLength(shape);
    const readRows: Parameter['readRows'] = (first, target, signal) =>
      file.readInto(name, first * length, target, signal);
    const rows = isFloat8(found) ? this.scaled(found, file, readRows) : readRows;
    return parameterOfRows({ name, shape, file: file.path, readRows: rows });
  }

  /** Rows of a float8 tensor by its scales, which are read at the first of them. */
  private scaled(tensor: TensorInfo, file: SafetensorsFile, readRows: Parameter['readRows']): Parameter['readRows'] {
    const name = scaleNames(tensor.name).find((each) => this.owners.has(each));
    const owner = this.owners.get(name ?? '');
    const found = owner?.tensors.get(name ?? '');
    if (name === undefined || owner === undefined || found === undefined) {
      const wanted = scaleNames(tensor.name).join(' nor ');
      throw new TesseraError(
        'CHECKPOINT_INVALID',
        `${file.path}: ${tensor.name} is F8_E4M3, and no file has ${wanted}`,
      );
    }
    const what = `${owner.path}: ${name}`;
    const grid = scaleGrid(what, tensor.shape, found.shape, this.tile);
    let scales: Promise<Float32Array> | undefined;
    return async (first, target, signal) => {
      scales ??= owner.read(name).then((values) => checkScales(what, values));
      const known = await scales;
      await readRows(first, target, signal);
      scaleRows(target, first, rowLength(tensor.shape), known, grid);
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.files.map((file) => file.close()));
  }
}

async function checkIndex(dir: string, owners: ReadonlyMap<string, SafetensorsFile>): Promise<void> {
  const name = indexName;
  const index = (await readJson(dir, name)) as { weight_map?: unknown } | undefined;
  if (index === undefined) return;
  if (typeof index?.weight_map !== 'object' || index.weight_map === null) {
    throw new TesseraError('CHECKPOINT_INVALID', `${join(dir, name)}: has no weight_map`);
  }
  for (const [tensor, fileName] of Object.entries(index.weight_map)) {
    if (typeof fileName !== 'string' || basename(fileName) !== fileName) {
      const place = `says that ${tensor} is in ${JSON.stringify(fileName)}, which is no name of a file beside it`;
      throw new TesseraError('CHECKPOINT_INVALID', `${join(dir, name)}: ${place}`);
    }
    if (owners.get(tensor)?.path !== join(dir, fileName)) {
      throw new TesseraError('CHECKPOINT_INVALID', `${join(dir, fileName)}: ${tensor} is missing from it`);
    }
  }
}
