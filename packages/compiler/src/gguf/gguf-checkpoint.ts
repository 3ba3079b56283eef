import { TesseraError } from '@tessera/protocol';
import type { CheckpointTokenizer } from '../checkpoint/checkpoint-tokenizer.js';
import { type Parameter, parameterOfRows } from '../checkpoint/parameters.js';
import type { ConfigFile, PublishedModel, PublishedTensorInfo } from '../checkpoint/published-model.js';
import { planModel } from '../models/plan-model.js';
import { type Architecture, architectureOf } from './architecture.js';
import { configOf } from './config.js';
import { maxTensors } from './gguf-file.js';
import { GgufFiles } from './gguf-files.js';
import { type PlacedTensor, readRows, requireReadType, storedBlocks } from './gguf-tensors.js';
import { type ModelSizes, publishedTensors, ropeDivisorsName } from './tensor-names.js';
import { tokenizerOf } from './tokenizer.js';

/**
 * A model in a GGUF file, seen as the checkpoint that it was made from: its config, its tokenizer, and its tensors under the
 * names and in the order of rows that the family knows.
 */
export class GgufCheckpoint implements PublishedModel {
  readonly hasWeights = true;

  private constructor(
    private readonly files: GgufFiles,
    private readonly config: Readonly<Record<string, unknown>>,
    private readonly placed: ReadonlyMap<string, PlacedTensor>,
    private readonly tokenizerFiles: CheckpointTokenizer,
    private readonly generation: Readonly<Record<string, unknown>>,
  ) {}

  /**
   * @throws TesseraError CHECKPOINT_INVALID naming the file, and the value or tensor that is missing, wrong or asks for what is
   *   not built
   */
  static async open(path: string): Promise<GgufCheckpoint> {
    const files = await GgufFiles.open(path);
    try {
      const { metadata, tensors } = files;
      const architecture = architectureOf(metadata);
      const config = configOf(metadata, architecture, tensors, await ropeDivisors(files));
      checkConfig(path, config);
      const placed = placeAll(files, architecture, {
        layers: config.num_hidden_layers as number,
        experts: metadata.number(`${architecture.name}.expert_count`) ?? 0,
        headDim: config.head_dim as number,
      });
      const { tokenizer, generation } = tokenizerOf(metadata, config.vocab_size as number);
      return new GgufCheckpoint(files, config, placed, tokenizer, generation);
    } catch (error) {
      await files.close();
      throw error;
    }
  }

  json(name: ConfigFile): Promise<unknown> {
    const files: Partial<Record<ConfigFile, unknown>> = {
      'config.json': this.config,
      'generation_config.json': this.generation,
    };
    return Promise.resolve(files[name]);
  }

  *tensors(): Iterable<PublishedTensorInfo> {
    for (const { name, shape, stored, file } of this.placed.values()) {
      yield { name, shape, dtype: stored.type.name, file: file.path };
    }
  }

  parameter(name: string, shape: readonly number[]): Parameter {
    const tensor = this.placed.get(name);
    if (tensor === undefined) {
      throw new TesseraError('CHECKPOINT_INVALID', `${this.files.metadata.path}: has no tensor for ${name}`);
    }
    if (tensor.shape.join() !== shape.join()) {
      const shapes = `of shape [${tensor.shape.join(', ')}], but its metadata asks for [${shape.join(', ')}]`;
      throw new TesseraError('CHECKPOINT_INVALID', `${tensor.file.path}: ${tensor.stored.name} is ${shapes}`);
    }
    requireReadType(tensor);
    const stored = storedBlocks(tensor);
    return parameterOfRows({
      name,
      shape,
      file: tensor.file.path,
      readRows: async (first, target, signal) => {
        signal?.throwIfAborted();
        await readRows(tensor, first, target);
      },
      ...(stored !== undefined && { stored }),
    });
  }

  tokenizer(): Promise<CheckpointTokenizer> {
    return Promise.resolve(this.tokenizerFiles);
  }

  close(): Promise<void> {
    return this.files.close();
  }
}

/** Refuses a config that no family takes, before anything else is made of it. */
function checkConfig(path: string, config: Readonly<Record<string, unknown>>): void {
  try {
    planModel(config);
  } catch (cause) {
    const { code, message } = TesseraError.from(cause);
    throw new TesseraError(code, `${path}: what it says would be a ${message}`, { cause });
  }
}

/** What the frequencies of positions are divided by, where a file says it. */
async function ropeDivisors(files: GgufFiles): Promise<Float32Array | undefined> {
  const stored = files.tensors.get(ropeDivisorsName);
  if (stored === undefined) return undefined;
  const { name, shape, rows } = stored;
  const tensor = { file: files.of(stored), name, shape, stored, firstRow: 0, rows };
  requireReadType(tensor);
  const values = new Float32Array(shape.at(-1) as number);
  await readRows(tensor, 0, values);
  return values;
}

/**
 * Every tensor under its name in a checkpoint. One that such a model does not have is something that would not be computed, and of
 * two of the same name one would not.
 */
function placeAll(files: GgufFiles, architecture: Architecture, sizes: ModelSizes): Map<string, PlacedTensor> {
  const placed = new Map<string, PlacedTensor>();
  for (const stored of files.tensors.values()) {
    if (stored.name === ropeDivisorsName) continue;
    const published = publishedTensors(stored, architecture, sizes);
    const file = files.of(stored);
    if (published.length === 0) {
      const model = `models of ${architecture.name} with ${sizes.layers} layers and ${sizes.experts} experts`;
      const what = `${stored.name} of shape [${stored.shape.join(', ')}] is no tensor that ${model} are known to have`;
      throw new TesseraError('CHECKPOINT_INVALID', `${file.path}: ${what}`);
    }
    if (placed.size + published.length > maxTensors) {
      const what = `its experts, each with tensors of its own, make more than ${maxTensors} tensors`;
      throw new TesseraError('CHECKPOINT_INVALID', `${file.path}: ${what}`);
    }
    for (const tensor of published) {
      const other = placed.get(tensor.name)?.stored.name;
      if (other !== undefined) {
        const both = `${stored.name} and ${other} are both ${tensor.name}; which one counts is not known`;
        throw new TesseraError('CHECKPOINT_INVALID', `${file.path}: ${both}`);
      }
      placed.set(tensor.name, { ...tensor, file });
    }
  }
  return placed;
}
