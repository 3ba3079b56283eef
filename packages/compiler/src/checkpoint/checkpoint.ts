import { readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { TesseraError } from '@tessera/protocol';
import type { Parameter, ParameterSource } from './parameters.js';
import { SafetensorsFile, type TensorInfo } from './safetensors.js';

/** Configuration files are small; a larger one is not what it says it is. tokenizer.json of 250 000 words has 30 MB. */
const maxJsonBytes = 256 * 1024 * 1024;

/** The files of a checkpoint that hold weights, in order of name. */
export async function weightFiles(dir: string): Promise<string[]> {
  const names = await readdir(dir).catch((cause: unknown) => {
    throw new TesseraError('CHECKPOINT_INVALID', `${dir}: is not a folder that can be read`, { cause });
  });
  return names.filter((name) => name.endsWith('.safetensors')).sort();
}

/**
 * A JSON file of a checkpoint; undefined when it is not there.
 * @throws TesseraError CHECKPOINT_INVALID naming a file that is not JSON
 */
export async function readJson(dir: string, name: string): Promise<unknown> {
  const path = join(dir, name);
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return undefined;
  if (found.size > maxJsonBytes) {
    throw new TesseraError('CHECKPOINT_INVALID', `${path}: is larger than ${maxJsonBytes} bytes`);
  }
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new TesseraError('CHECKPOINT_INVALID', `${path}: ${(cause as Error).message}`, { cause });
  }
}

/** A published model in Hugging Face layout: config.json and weights in one or many safetensors files. */
export class Checkpoint implements ParameterSource {
  private constructor(
    /** Absolute. */
    readonly dir: string,
    private readonly files: readonly SafetensorsFile[],
    private readonly owners: ReadonlyMap<string, SafetensorsFile>,
  ) {}

  /**
   * Opens every *.safetensors of the folder, none being allowed: a config.json alone can be inspected. Beside weights,
   * a model.safetensors.index.json must name the file that each tensor is in.
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
    } catch (error) {
      await Promise.all(files.map((file) => file.close()));
      throw error;
    }
    return new Checkpoint(root, files, owners);
  }

  get hasWeights(): boolean {
    return this.files.length > 0;
  }

  /** Every tensor of every file. */
  *tensors(): Iterable<TensorInfo> {
    for (const file of this.files) yield* file.tensors.values();
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
    return { name, shape, read: (signal) => file.read(name, signal) };
  }

  async close(): Promise<void> {
    await Promise.all(this.files.map((file) => file.close()));
  }
}

async function checkIndex(dir: string, owners: ReadonlyMap<string, SafetensorsFile>): Promise<void> {
  const name = 'model.safetensors.index.json';
  const index = (await readJson(dir, name)) as { weight_map?: unknown } | undefined;
  if (index === undefined) return;
  if (typeof index?.weight_map !== 'object' || index.weight_map === null) {
    throw new TesseraError('CHECKPOINT_INVALID', `${join(dir, name)}: has no weight_map`);
  }
  for (const [tensor, fileName] of Object.entries(index.weight_map)) {
    if (owners.get(tensor)?.path !== join(dir, String(fileName))) {
      throw new TesseraError('CHECKPOINT_INVALID', `${join(dir, String(fileName))}: ${tensor} is missing from it`);
    }
  }
}
